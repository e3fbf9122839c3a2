"""Blocks to chunks: whole blocks of one section, packed up to a size that the embedder reads in full.

A section that is only a line or two joins its neighbours under their common heading. A block is split only
when it alone is too large; then its parts overlap a little, and the parts of a table repeat its header.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from workers.ingest.parsing import Block, ParsedDocument
from workers.ingest.splitting import split
from workers.ingest.tokens import estimate
from workers.vectors import Chunk

# Part of every content hash: raise it when the same document would give other chunks, and all are made anew.
CHUNKER_VERSION = "2"

PATH_SEPARATOR = " > "
_CONTEXT_SHARE = 4


@dataclass(frozen=True)
class ChunkSizes:
    """In estimated tokens, title and headings included."""

    target: int = 180
    maximum: int = 240
    overlap: int = 24
    small_section: int = 48


@dataclass(frozen=True)
class _Section:
    path: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def tokens(self) -> int:
        return sum(estimate(block.text) for block in self.blocks)


def chunk(document_id: str, source: str, parsed: ParsedDocument, sizes: ChunkSizes) -> list[Chunk]:
    """All text of the document in order, in chunks of at most `sizes.maximum` estimated tokens.

    A chunk's id is made of the document's id and the chunk's content: one that stays as it was keeps its id.
    """
    owner = _digest(document_id)
    seen: Counter[str] = Counter()
    chunks = []
    for section in _joined(_sections(parsed), sizes):
        title, path = _shortened(parsed.title, section.path, sizes.maximum // _CONTEXT_SHARE)
        room = estimate(" ".join((title, *path)))
        for text in _packed(section.blocks, sizes, room):
            content = _digest("\n".join((title, *path, text)))
            seen[content] += 1
            number = f"-{seen[content]}" if seen[content] > 1 else ""
            chunks.append(Chunk(f"{owner}-{content}{number}", title, path, source, text))
    return chunks


def _sections(parsed: ParsedDocument) -> Iterator[_Section]:
    for path, blocks in groupby(parsed.blocks, key=lambda block: block.heading_path):
        # The first heading is the title already, in most documents.
        shown = path[1:] if path[:1] == (parsed.title,) else path
        yield _Section(shown, tuple(blocks))


def _joined(sections: Iterator[_Section], sizes: ChunkSizes) -> Iterator[_Section]:
    """Runs of small sections as one, under the headings that they share."""
    run: list[_Section] = []
    for section in sections:
        if run and not _fits(run, section, sizes):
            yield _one(run)
            run = []
        run.append(section)
    if run:
        yield _one(run)


def _fits(run: list[_Section], section: _Section, sizes: ChunkSizes) -> bool:
    members = [*run, section]
    if any(member.tokens > sizes.small_section for member in members):
        return False
    return sum(member.tokens for member in members) <= sizes.target // 2


def _one(run: list[_Section]) -> _Section:
    if len(run) == 1:
        return run[0]
    common = _common([section.path for section in run])
    blocks: list[Block] = []
    for section in run:
        below = PATH_SEPARATOR.join(section.path[len(common) :])
        if below:
            blocks.append(Block(common, below))
        blocks.extend(section.blocks)
    return _Section(common, tuple(blocks))


def _common(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    first, last = min(paths), max(paths)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return tuple(heading for heading, _ in same)


def _shortened(title: str, path: tuple[str, ...], limit: int) -> tuple[str, tuple[str, ...]]:
    """Title and headings of at most `limit` tokens; outer headings, then the title's end give way first."""
    while path and estimate(" ".join(path)) > limit * 2 // 3:
        path = path[1:]
    left = limit - estimate(" ".join(path))
    words: list[str] = []
    for word in title.split():
        left -= estimate(word)
        if left < 0:
            break
        words.append(word)
    return " ".join(words), path


def _packed(blocks: Sequence[Block], sizes: ChunkSizes, context: int) -> Iterator[str]:
    target, maximum = sizes.target - context, sizes.maximum - context
    pieces = [piece for block in blocks for piece in split(block, target, maximum, overlap=sizes.overlap)]
    counts = [estimate(piece) for piece in pieces]
    start, used, rest = 0, 0, sum(counts)
    for index, count in enumerate(counts):
        if index > start and used + count > target and used + rest > maximum:
            end = index
            if end - start > 1 and _introduces(pieces[end - 1]) and counts[end - 1] + count <= maximum:
                end -= 1
            yield "\n\n".join(pieces[start:end])
            start, used = end, sum(counts[end:index])
        used += count
        rest -= count
    yield "\n\n".join(pieces[start:])


def _introduces(text: str) -> bool:
    """A line that ends with a colon stays with what it introduces."""
    return text.rstrip().endswith(":")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()[:16]
