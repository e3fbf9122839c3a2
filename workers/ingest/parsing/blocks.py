"""What every parser makes: blocks in reading order, each under the headings that stand above it."""

import re
from dataclasses import dataclass, field
from typing import Literal

BlockKind = Literal["paragraph", "list", "code", "table"]

CELL_SEPARATOR = " | "
MAX_HEADING = 200


@dataclass(frozen=True)
class Block:
    """`text` of a list has an item a line, of a table a row a line with the header first."""

    heading_path: tuple[str, ...]
    text: str
    kind: BlockKind = "paragraph"


@dataclass(frozen=True)
class ParsedDocument:
    title: str
    blocks: tuple[Block, ...]


@dataclass
class Outline:
    """Collects blocks while a parser walks a document, and keeps the headings in force.

    List items arrive one by one; they become one block when anything else follows, so that code inside a list
    stays a block of its own in the right place.
    """

    blocks: list[Block] = field(default_factory=list)
    _headings: list[tuple[int, str]] = field(default_factory=list)
    _items: list[str] = field(default_factory=list)
    _first_heading: str = ""

    def heading(self, level: int, text: str) -> None:
        self.close_list()
        text = one_line(text)
        if not text:
            return
        shown = text if len(text) <= MAX_HEADING else text[: MAX_HEADING - 1] + "\u2026"
        self._first_heading = self._first_heading or shown
        self._headings = [entry for entry in self._headings if entry[0] < level]
        self._headings.append((level, shown))
        if shown != text:
            self.paragraph(text)

    def paragraph(self, text: str) -> None:
        self._add(text.strip(), "paragraph")

    def item(self, text: str, *, depth: int = 0, marker: str = "- ") -> None:
        """Add a list item; further paragraphs of the same item come with an empty marker."""
        text = text.strip()
        if text:
            indent = "  " * depth
            self._items.append(indent + marker + text.replace("\n", "\n  " + indent))

    def code(self, text: str) -> None:
        self._add(text.strip("\n").rstrip(), "code")

    def table(self, rows: list[list[str]]) -> None:
        lines = [CELL_SEPARATOR.join(one_line(cell) for cell in row) for row in rows if any(row)]
        self._add("\n".join(lines), "table")

    def close_list(self) -> None:
        items, self._items = self._items, []
        if items:
            self._append("\n".join(items), "list")

    def document(self, title: str = "") -> ParsedDocument:
        """The blocks so far; the title is the first heading unless the document states one."""
        self.close_list()
        return ParsedDocument(one_line(title) or self._first_heading, tuple(self.blocks))

    def _add(self, text: str, kind: BlockKind) -> None:
        self.close_list()
        if text.strip():
            self._append(text, kind)

    def _append(self, text: str, kind: BlockKind) -> None:
        path = tuple(heading for _, heading in self._headings)
        self.blocks.append(Block(path, text, kind))


def one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
