"""HTML to blocks: the main content of a page without its navigation."""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from workers.ingest.parsing.blocks import Outline, ParsedDocument, one_line
from workers.ingest.parsing.text import decode_text


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = frozenset({"ul", "ol", "menu", "dir"})
_DROPPED = _names(
    "script style noscript template nav iframe object embed canvas svg math select button input textarea "
    "datalist audio video map dialog head link meta base"
)
_PAGE_FRAME = frozenset({"header", "footer", "aside"})
_BLOCKS = _names(
    "html body main article section div p blockquote address figure figcaption details summary header footer "
    "aside hgroup fieldset form legend center dl dt dd li caption tr td th thead tbody tfoot hr"
)
_INLINE = _names(
    "a abbr acronym b bdi bdo big br cite code col colgroup data del dfn em font i img ins kbd label mark "
    "meter output picture progress q rp rt ruby s samp small source span strike strong sub sup time tt u var "
    "wbr area param track slot option optgroup pre table"
)
HTML_TAGS = _BLOCKS | _INLINE | _DROPPED | _LISTS | frozenset(_HEADINGS)

_CHARSET = re.compile(rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_META_AREA = 4096


def parse_html(content: bytes, name: str) -> ParsedDocument:
    """Read a page or a fragment; the encoding comes from a byte order mark or a `<meta>`, else UTF-8.

    Raises:
        InvalidDocument: the bytes are no text.
    """
    charset = _CHARSET.search(content[:_META_AREA])
    text = decode_text(content, name, stated=charset[1].decode() if charset else "")
    tree = LexborHTMLParser(text)
    title_node = tree.css_first("head > title")
    title = one_line(title_node.text()) if title_node is not None else ""
    parsed = ParsedDocument(title, ())
    for root in _roots(tree):
        outline = Outline()
        _Walk(outline, whole_page=root.tag == "body").read(root)
        parsed = outline.document()
        if parsed.blocks:
            break
    # A page's <title> often carries the site's name; its first heading names the page.
    return ParsedDocument(parsed.title or title, parsed.blocks)


def add_html(fragment: str, outline: Outline) -> None:
    """Add a piece of HTML that stands inside another format."""
    body = LexborHTMLParser(fragment).body
    if body is not None:
        _Walk(outline, whole_page=False).read(body)


def _roots(tree: LexborHTMLParser) -> Iterator[LexborNode]:
    """The main content as the page marks it, then the whole page in case that holds no text."""
    for selector in ("main", "[role=main]", "article"):
        found = tree.css(selector)
        if len(found) == 1:
            yield found[0]
    if tree.body is not None:
        yield tree.body


class _Walk:
    """Walks a tree in reading order; inline text collects until a block begins or ends."""

    def __init__(self, outline: Outline, *, whole_page: bool) -> None:
        self._outline = outline
        self._whole_page = whole_page
        self._inline: list[str] = []

    def read(self, root: LexborNode) -> None:
        self._children(root)
        self._flush()

    def _children(self, node: LexborNode) -> None:
        for child in node.iter(include_text=True):
            self._node(child)

    def _node(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if node.is_text_node:
            self._inline.append(re.sub(r"\s+", " ", node.text_content or ""))
        elif tag in _DROPPED or self._is_frame(tag) or _is_hidden(node):
            return
        elif tag == "br":
            self._inline.append("\n")
        elif tag in _HEADINGS:
            self._flush()
            self._outline.heading(_HEADINGS[tag], _text_of(node).rstrip("#\u00b6 "))
        elif tag == "pre":
            self._flush()
            self._outline.code(node.text())
        elif tag == "table":
            self._flush()
            self._table(node)
        elif tag in _LISTS:
            self._flush()
            self._list(node, depth=0)
            self._outline.close_list()
        elif tag in _BLOCKS:
            self._flush()
            self._children(node)
            self._flush()
        else:
            self._children(node)

    def _is_frame(self, tag: str) -> bool:
        return self._whole_page and tag in _PAGE_FRAME

    def _flush(self) -> None:
        text = _tidy("".join(self._inline))
        self._inline.clear()
        self._outline.paragraph(text)

    def _list(self, node: LexborNode, *, depth: int) -> None:
        number = 0
        for child in node.iter(include_text=False):
            if child.tag in _LISTS:
                self._list(child, depth=depth + 1)
            elif child.tag not in _DROPPED:
                number += 1
                self._item(child, depth=depth, marker=f"{number}. " if node.tag == "ol" else "- ")

    def _item(self, node: LexborNode, *, depth: int, marker: str) -> None:
        pending: list[str] = []
        for part in _item_parts(node):
            if isinstance(part, str):
                pending.append(part)
                continue
            marker = self._item_text(pending, depth, marker)
            if part.tag in _LISTS:
                self._list(part, depth=depth + 1)
            elif part.tag == "pre":
                self._outline.code(part.text())
            else:
                self._table(part)
        self._item_text(pending, depth, marker)

    def _item_text(self, pending: list[str], depth: int, marker: str) -> str:
        text = _tidy("".join(pending))
        pending.clear()
        if not text:
            return marker
        self._outline.item(text, depth=depth, marker=marker)
        return "  "

    def _table(self, table: LexborNode) -> None:
        """A table of data is one block; a table that lays out a page is read as what stands in its cells."""
        if table.css_first("table table, td h1, td h2, td h3, td pre") is not None:
            self._children(table)
            self._flush()
            return
        rows = [
            [_text_of(cell) for cell in row.iter() if cell.tag in ("td", "th")] for row in table.css("tr")
        ]
        caption = table.css_first("caption")
        if caption is not None:
            self._outline.paragraph(_text_of(caption))
        self._outline.table([row for row in rows if any(row)])


def _item_parts(node: LexborNode) -> Iterator[str | LexborNode]:
    """The text of a list item in order, with its nested lists, code blocks and tables as nodes."""
    for child in node.iter(include_text=True):
        tag = child.tag or ""
        if child.is_text_node:
            yield re.sub(r"\s+", " ", child.text_content or "")
        elif tag in _LISTS or tag in ("pre", "table"):
            yield child
        elif tag == "br":
            yield "\n"
        elif tag not in _DROPPED and not _is_hidden(child):
            edge = "\n" if tag in _BLOCKS or tag in _HEADINGS else ""
            yield edge
            yield from _item_parts(child)
            yield edge


def _text_of(node: LexborNode) -> str:
    parts = (part if isinstance(part, str) else f" {part.text()} " for part in _item_parts(node))
    return one_line("".join(parts))


def _tidy(text: str) -> str:
    return re.sub(r"[ \t]*\n\s*", "\n", re.sub(r"[ \t]+", " ", text)).strip()


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    return "hidden" in attributes or attributes.get("aria-hidden") == "true"
