"""PDF to blocks: a heading a page, paragraphs where the text leaves a blank line."""

import io
import re
import struct
import time
import zlib
from collections.abc import Callable

from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

from contracts.errors import InvalidDocument
from workers.ingest.parsing.blocks import Outline, ParsedDocument
from workers.ingest.parsing.wrapping import unwrapped

# pypdf reports damage through its own errors and, in odd corners, through plain ones.
_DAMAGE = (
    PyPdfError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError,
    NotImplementedError, OSError, struct.error, zlib.error,
)  # fmt: skip
_HEADER_AREA = 1024
_OPEN_FAILED = "Open it in a PDF viewer; print it to a new PDF if it opens there."


def parse_pdf(content: bytes, name: str, *, max_pages: int, timeout_s: float) -> ParsedDocument:
    """Read the text of each page.

    Raises:
        InvalidDocument: not a PDF, damaged, encrypted, longer than `max_pages`, without any text (a scan),
            or not read within `timeout_s`.
    """
    if b"%PDF-" not in content[:_HEADER_AREA]:
        raise InvalidDocument(
            f"{name}: this is not a PDF (it begins with {content[:8]!r}).",
            remedy="Give it its own media type.",
        )
    check = _deadline(name, timeout_s)
    try:
        return _read(content, name, max_pages, check)
    except InvalidDocument:
        raise
    except (DependencyError, FileNotDecryptedError) as error:
        raise _encrypted(name) from error
    except _DAMAGE as error:
        raise InvalidDocument(
            f"{name}: the PDF is damaged ({type(error).__name__}: {error}).", remedy=_OPEN_FAILED
        ) from error


def _read(content: bytes, name: str, max_pages: int, check: Callable[[], None]) -> ParsedDocument:
    reader = PdfReader(io.BytesIO(content))
    if reader.is_encrypted and not reader.decrypt(""):
        raise _encrypted(name)
    if len(reader.pages) > max_pages:
        raise InvalidDocument(
            f"{name}: {len(reader.pages):,} pages are more than the {max_pages:,} that are allowed.",
            remedy="Split the PDF, or raise AF_PDF_MAX_PAGES.",
        )
    outline = Outline()
    for number, page in enumerate(reader.pages, start=1):
        check()
        outline.heading(1, f"Page {number}")
        for paragraph in _paragraphs(_page_text(page, check)):
            outline.paragraph(paragraph)
    parsed = ParsedDocument(_title(reader), outline.document().blocks)
    if not parsed.blocks:
        raise InvalidDocument(
            f"{name}: no page has text; it is probably a scan.",
            remedy="Run optical character recognition on it (for example ocrmypdf) and ingest the result.",
        )
    return parsed


def _page_text(page: PageObject, check: Callable[[], None]) -> str:
    """The visitor runs at every operator of the page, which also bounds the time that one page can take."""
    return page.extract_text(visitor_operand_before=lambda *_: check())


def _paragraphs(text: str) -> list[str]:
    """Split at blank lines; a word that a line break hyphenated is joined again."""
    text = re.sub(r"(\w)[-\u00ad]\n(?=[a-z])", r"\1", text.replace("\0", ""))
    return [unwrapped(part) for part in re.split(r"\n\s*\n", text) if part.strip()]


def _title(reader: PdfReader) -> str:
    metadata = reader.metadata
    title = metadata.title if metadata is not None else None
    return title.strip() if isinstance(title, str) else ""


def _deadline(name: str, timeout_s: float) -> Callable[[], None]:
    end = time.monotonic() + timeout_s

    def check() -> None:
        if time.monotonic() > end:
            raise InvalidDocument(
                f"{name}: reading the PDF takes longer than {timeout_s:g} s.",
                remedy="Split the PDF, or raise AF_PDF_TIMEOUT_S.",
            )

    return check


def _encrypted(name: str) -> InvalidDocument:
    return InvalidDocument(f"{name}: the PDF is encrypted.", remedy="Save it again without a password.")
