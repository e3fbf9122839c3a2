"""HTML of a ticket or an article to Markdown; what mail programs quote and sign with is taken out."""

from selectolax.lexbor import LexborHTMLParser

from askfleet.sources.escaping import code_block, escaped, escaped_starts
from contracts.errors import InvalidDocument
from workers.ingest.parsing.blocks import Outline, one_line
from workers.ingest.parsing.html import add_html

_QUOTED = (
    "blockquote[type=cite], .gmail_quote, .gmail_extra, .yahoo_quoted, .moz-cite-prefix, .protonmail_quote, "
    "#divRplyFwdMsg, #appendonsend ~ *, #mail-editor-reference-message-container, .zmail_extra"
)
_SIGNATURES = (
    ".gmail_signature, .moz-signature, #Signature, #signature, .protonmail_signature_block, "
    "#ms-outlook-mobile-signature, .signature, [data-smartmail=gmail_signature]"
)
_INDENT = 4


def html_markdown(html: str, *, name: str, quotes: bool = True, signatures: bool = True) -> str:
    """Headings, paragraphs, lists, code and tables; of a link its text.

    Args:
        name: of the document, for the error.
        quotes, signatures: False takes them out.

    Raises:
        InvalidDocument: nested beyond reason.
    """
    tree = LexborHTMLParser(html)
    for wanted, selector in ((quotes, _QUOTED), (signatures, _SIGNATURES)):
        if not wanted:
            for node in tree.css(selector):
                node.decompose()
    page = _Page()
    try:
        add_html(tree.html or "", page)
    except RecursionError as error:
        raise InvalidDocument(
            f"{name}: its HTML is nested too deeply to be read.", remedy="Flatten it, or leave it out."
        ) from error
    return page.markdown()


class _Page(Outline):
    """Takes what the reader of HTML finds, in its order, and writes it down at once."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._lines: list[str] = []

    def heading(self, level: int, text: str) -> None:
        self._put(f"{'#' * level} {escaped(one_line(text))}" if text.strip() else "")

    def paragraph(self, text: str) -> None:
        self._put(escaped_starts("  \n".join(escaped(line) for line in text.strip().split("\n"))))

    def item(self, text: str, *, depth: int = 0, marker: str = "- ") -> None:
        """Four blanks nest below any marker; further paragraphs come with a marker of blanks."""
        indent = " " * _INDENT * depth
        first, *rest = text.strip().split("\n")
        if first:
            self._lines.append(indent + (marker if marker.strip() else " " * _INDENT) + escaped(first))
            self._lines += [" " * _INDENT + indent + escaped(line) for line in rest]

    def code(self, text: str) -> None:
        if text.strip():
            self._put(code_block(text.strip("\n").rstrip()))

    def table(self, rows: list[list[str]]) -> None:
        """The first row is the header."""
        width = max((len(row) for row in rows), default=0)
        lines = [_row([*row, *[""] * (width - len(row))]) for row in rows]
        if lines:
            self._put("\n".join([lines[0], _row(["---"] * width), *lines[1:]]))

    def close_list(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._parts.append("\n".join(lines))

    def markdown(self) -> str:
        self.close_list()
        return "\n\n".join(self._parts)

    def _put(self, part: str) -> None:
        self.close_list()
        if part:
            self._parts.append(part)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(escaped(one_line(cell)).replace("|", "\\|") for cell in cells) + " |"
