"""The one entry: picks the parser and turns all that can go wrong into `InvalidDocument`."""

from dataclasses import dataclass
from functools import partial

from contracts.document import Document
from contracts.errors import InvalidDocument
from workers.ingest.parsing.blocks import ParsedDocument
from workers.ingest.parsing.html import parse_html
from workers.ingest.parsing.markdown import parse_markdown
from workers.ingest.parsing.pdf import parse_pdf
from workers.ingest.parsing.text import decode_text, parse_text


@dataclass(frozen=True)
class Limits:
    """Bounds on what one document may cost."""

    max_bytes: int = 20_000_000
    pdf_max_pages: int = 2_000
    pdf_timeout_s: float = 60.0


def parse(document: Document, limits: Limits) -> ParsedDocument:
    """Read `document`; the title is the stated one, else the content's, else the last part of the id.

    Raises:
        InvalidDocument: empty, too large, binary, nested beyond reason, or a PDF that gives no text.
    """
    _check_size(document, limits)
    try:
        parsed = _parse_content(document, limits)
    except RecursionError as error:
        raise InvalidDocument(
            f"{document.id}: its elements are nested too deeply to be read.",
            remedy="Flatten it, or export it as plain text.",
        ) from error
    if not parsed.blocks:
        raise InvalidDocument(
            f"{document.id}: there is no text in it.", remedy="Leave it out, or check how it was exported."
        )
    title = document.title or parsed.title or _name_of(document.id)
    return ParsedDocument(title, parsed.blocks)


def _check_size(document: Document, limits: Limits) -> None:
    size = len(document.content)
    if not size:
        raise InvalidDocument(f"{document.id}: the document is empty.", remedy="Leave it out, or fill it.")
    if size > limits.max_bytes:
        raise InvalidDocument(
            f"{document.id}: {size:,} bytes are more than the {limits.max_bytes:,} that are allowed.",
            remedy="Split the document, or raise AF_MAX_DOCUMENT_BYTES.",
        )


def _parse_content(document: Document, limits: Limits) -> ParsedDocument:
    content, name = document.content, document.id
    if document.media_type == "application/pdf":
        return parse_pdf(content, name, max_pages=limits.pdf_max_pages, timeout_s=limits.pdf_timeout_s)
    decode = partial(decode_text, name=name)
    if document.media_type == "text/html":
        return parse_html(content, name)
    if document.media_type == "text/markdown":
        return parse_markdown(decode(content))
    return parse_text(decode(content))


def _name_of(document_id: str) -> str:
    last = document_id.replace("\\", "/").rstrip("/").rpartition("/")[2]
    stem, dot, _ = last.rpartition(".")
    return (stem if dot and stem else last).replace("_", " ").replace("-", " ").strip() or document_id
