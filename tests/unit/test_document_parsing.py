import base64

import pytest

from contracts.document import Document, MediaType
from contracts.errors import InvalidDocument
from workers.ingest.parsing import Block, Limits, parse
from workers.ingest.parsing.text import decode_text, parse_text


def document(
    content: bytes, media_type: MediaType = "text/plain", *, name: str = "dir/my-file.txt"
) -> Document:
    return Document(id=name, media_type=media_type, content=base64.b64encode(content))


def test_plain_text_is_paragraphs_under_underlined_headings():
    parsed = parse_text("=====\nGuide\n=====\n\nFirst\nline.\n  \nInstall\n-------\nUse apt.\n")
    assert parsed.title == "Guide"
    assert parsed.blocks == (Block(("Guide",), "First\nline."), Block(("Guide", "Install"), "Use apt."))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_text_in_a_usual_encoding_reads_the_same(encoding: str):
    assert decode_text("K\u00e4se \u2013 gut\r\nja\r".encode(encoding), "t") == "K\u00e4se \u2013 gut\nja\n"


def test_a_stray_control_character_becomes_a_space():
    assert decode_text(b"one\x08two " + b"and more text " * 10, "t").startswith("one two ")


def test_bytes_outside_windows_latin_still_read():
    assert decode_text(b"caf\xe9 \x81 bar", "t").startswith("caf\u00e9 ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n\t\n", "no text"),
        (b"\0\1\2\3" * 20, "binary"),
        ("K\u00e4se".encode("utf-16-le"), "binary"),
        (b"x" * 101, r"101 bytes.*100"),
    ],
)
def test_a_document_without_readable_text_is_refused_by_name_with_a_remedy(content: bytes, reason: str):
    with pytest.raises(InvalidDocument, match=rf"dir/my-file\.txt.*{reason}") as refused:
        parse(document(content), Limits(max_bytes=100))
    assert refused.value.remedy != InvalidDocument.remedy


def test_the_title_is_the_stated_one_then_the_content_s_then_the_name():
    stated = Document(id="a.md", title="Mine", content=base64.b64encode(b"# Theirs\ntext"))
    assert parse(stated, Limits()).title == "Mine"
    assert parse(document(b"# Theirs\ntext", "text/markdown"), Limits()).title == "Theirs"
    assert parse(document(b"text"), Limits()).title == "my file"


def test_html_nested_beyond_reason_is_refused():
    with pytest.raises(InvalidDocument, match="nested too deeply"):
        parse(document(b"<div>" * 5_000 + b"text", "text/html"), Limits())
