import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.ingest.chunking import ChunkSizes, chunk
from workers.ingest.parsing import Block, ParsedDocument
from workers.ingest.tokens import estimate
from workers.vectors import Chunk

SIZES = ChunkSizes()

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), min_size=1, max_size=30)
lines = st.lists(words, min_size=1, max_size=25).map(" ".join)
texts = st.lists(lines, min_size=1, max_size=25).map("\n".join)
paths = st.lists(st.sampled_from(["Setup", "Use", "Linux and others", "x" * 190]), max_size=3).map(tuple)
kinds = st.sampled_from(["paragraph", "list", "code", "table"])
documents = st.lists(st.builds(Block, paths, texts, kinds), min_size=1, max_size=6)


def chunks_of(*blocks: Block, title: str = "Guide", document_id: str = "guide.md") -> list[Chunk]:
    return chunk(document_id, "here", ParsedDocument(title, blocks), SIZES)


def prose(count: int) -> str:
    return " ".join(f"Sentence number {number} says one thing." for number in range(count))


@settings(max_examples=40, deadline=None)
@given(documents, st.sampled_from(["", "Guide", "A title of many words " * 30]))
def test_no_text_is_lost_and_its_order_stays(blocks: list[Block], title: str):
    text = re.sub(r"\s", "", "".join(piece.text for piece in chunks_of(*blocks, title=title)))
    at = 0
    for block in blocks:
        for word in block.text.split():
            # Parts of a word that is too large for a chunk stand in several chunks.
            for sign in word if estimate(word) > 30 else [word]:
                found = text.find(sign, at)
                assert found >= 0, word
                at = found + len(sign)


@settings(max_examples=40, deadline=None)
@given(documents, st.sampled_from(["", "Guide", "A title of many words " * 30]))
def test_no_chunk_is_larger_than_the_maximum(blocks: list[Block], title: str):
    for piece in chunks_of(*blocks, title=title):
        assert estimate(piece.search_text) <= SIZES.maximum
        assert piece.text.strip()


@settings(max_examples=40, deadline=None)
@given(documents)
def test_ids_are_unique_and_the_same_at_every_run(blocks: list[Block]):
    ids = [piece.chunk_id for piece in chunks_of(*blocks)]
    assert len(set(ids)) == len(ids)
    assert ids == [piece.chunk_id for piece in chunks_of(*blocks)]


def test_an_edit_leaves_the_ids_of_the_other_chunks():
    before = chunks_of(*(Block((f"Part {n}",), prose(12)) for n in range(5)))
    after = chunks_of(*(Block((f"Part {n}",), prose(13 if n == 2 else 12)) for n in range(5)))
    assert len({piece.chunk_id for piece in before} & {piece.chunk_id for piece in after}) == 4


def test_the_same_text_in_two_documents_has_two_ids():
    assert (
        chunks_of(Block((), "Hi"))[0].chunk_id
        != chunks_of(Block((), "Hi"), document_id="other.md")[0].chunk_id
    )


def test_the_search_text_has_title_headings_and_text():
    (piece,) = chunks_of(Block(("Guide", "Install", "Linux"), "Use apt."))
    assert piece.heading_path == ("Install", "Linux")
    assert piece.search_text == "Guide\nInstall\nLinux\nUse apt."
    assert piece.text == "Use apt."


def test_blocks_of_one_section_share_a_chunk_and_large_sections_do_not():
    pieces = chunks_of(Block(("A",), prose(6)), Block(("A",), "a = 1", "code"), Block(("B",), prose(6)))
    assert [piece.heading_path for piece in pieces] == [("A",), ("B",)]
    assert pieces[0].text.endswith("a = 1")


def test_small_sections_join_under_their_common_heading():
    pieces = chunks_of(*(Block(("FAQ", f"Question {n}"), f"Answer {n}.") for n in range(4)))
    (piece,) = pieces
    assert piece.heading_path == ("FAQ",)
    assert piece.text.startswith("Question 0\n\nAnswer 0.\n\nQuestion 1")


def test_code_that_fits_is_never_split():
    code = "\n".join(f"line_{n} = {n}" for n in range(20))
    pieces = chunks_of(Block((), prose(18)), Block((), code, "code"), Block((), prose(18)))
    assert sum(code in piece.text for piece in pieces) == 1


def test_the_parts_of_a_large_table_repeat_its_header():
    rows = "\n".join(f"service {n} | {n + 8000}" for n in range(200))
    pieces = chunks_of(Block((), f"Name | Port\n{rows}", "table"))
    assert len(pieces) > 3
    assert all(piece.text.startswith("Name | Port\n") for piece in pieces)


def test_the_parts_of_a_large_paragraph_overlap_by_whole_sentences():
    pieces = chunks_of(Block((), prose(80)))
    for before, after in pairwise(pieces):
        shared = after.text.split(". ")[0].removesuffix(".")
        assert shared in before.text
        assert estimate(shared) <= SIZES.overlap


def test_a_line_that_introduces_code_goes_with_it():
    code = "\n".join(f"step_{n}()" for n in range(16))
    pieces = chunks_of(Block((), prose(20)), Block((), "Run this:"), Block((), code, "code"))
    assert pieces[-1].text == f"Run this:\n\n{code}"


def test_padding_of_any_length_stays_within_what_a_store_takes():
    pieces = chunks_of(Block((), "\n".join(" " * 60_000 + f"row {n}" for n in range(8)), "code"))
    assert all(len(piece.search_text.encode()) < 16_000 for piece in pieces)
    assert [f"row {n}" in " ".join(" ".join(piece.text for piece in pieces).split()) for n in range(8)] == [
        True
    ] * 8
