"""Bytes to text, and plain text to paragraphs and underlined headings."""

import codecs
import re

from contracts.errors import InvalidDocument
from workers.ingest.parsing.blocks import Outline, ParsedDocument
from workers.ingest.parsing.wrapping import unwrapped

# The UTF-32 marks begin with the UTF-16 ones, so they are looked for first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MAX_CONTROL_SHARE = 0.02
_UNDERLINE = re.compile(r"([=\-~^\"'`#*+:._])\1{2,}\s*")
_MAX_HEADING = 120


def decode_text(content: bytes, name: str, *, stated: str = "") -> str:
    """Text by byte order mark, the stated encoding, UTF-8, or Windows' Latin, in this order.

    Raises:
        InvalidDocument: the bytes are no text in any of them.
    """
    text = _decode(content, stated)
    controls = len(_CONTROL.findall(text))
    if "\0" in text or controls > _MAX_CONTROL_SHARE * len(text):
        raise InvalidDocument(
            f"{name}: the content is binary, or text in an encoding without a byte order mark.",
            remedy="Save it as UTF-8 text; give a PDF the type application/pdf.",
        )
    return _CONTROL.sub(" ", text).replace("\r\n", "\n").replace("\r", "\n")


def parse_text(text: str) -> ParsedDocument:
    """Blank lines part paragraphs; an underlined line is a heading, as in reStructuredText."""
    outline = Outline()
    levels: list[str] = []
    for paragraph in re.split(r"\n[^\S\n]*(?:\n[^\S\n]*)+", text):
        lines = paragraph.strip("\n").split("\n")
        if _is_overline(lines):
            lines = lines[1:]
        if _is_heading(lines):
            mark = lines[1][0]
            if mark not in levels:
                levels.append(mark)
            outline.heading(levels.index(mark) + 1, lines[0])
            lines = lines[2:]
        outline.paragraph(unwrapped("\n".join(lines)))
    return outline.document()


def _decode(content: bytes, stated: str) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    for encoding in (stated, "utf-8", "cp1252"):
        try:
            if encoding:
                return content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return content.decode("latin-1")


def _is_overline(lines: list[str]) -> bool:
    return len(lines) >= 3 and bool(_UNDERLINE.fullmatch(lines[0])) and lines[0].strip() == lines[2].strip()


def _is_heading(lines: list[str]) -> bool:
    if len(lines) < 2 or not 0 < len(lines[0].strip()) <= _MAX_HEADING:
        return False
    return bool(_UNDERLINE.fullmatch(lines[1])) and len(lines[1].strip()) >= len(lines[0].strip())
