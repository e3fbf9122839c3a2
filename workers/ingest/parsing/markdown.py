"""Markdown to blocks: CommonMark with tables, front matter, embedded HTML and the tags of site generators."""

import re
from collections.abc import Callable, Iterator

import yaml
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

from workers.ingest.parsing.blocks import Outline, ParsedDocument
from workers.ingest.parsing.html import HTML_TAGS, add_html

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
# `{% hint style="info" %}`, `{{< tab "Go" >}}`, `:::tip Title`: GitBook and Jekyll, Hugo, Docusaurus.
_TEMPLATE_TAG = re.compile(r"\{%.*%\}|\{\{[<%].*[>%]\}\}|:::+.*")
# What a reader sees of a tag, the name of a tab above all.
_LABEL = re.compile(r"\b(?:title|label|name)\s*=\s*(\"[^\"]*\"|'[^']*')")
_TAG_NAME = re.compile(r"</?\s*([A-Za-z][\w-]*)")


def parse_markdown(text: str) -> ParsedDocument:
    body, title, description = _split_front_matter(text)
    walk = _Walk()
    walk.outline.paragraph(description)
    for token in _parser().parse(body):
        walk.step(token)
    parsed = walk.outline.document(title)
    if not parsed.blocks:
        # A page that is a heading and no more says what it is about, at least.
        walk.outline.paragraph(parsed.title)
    return walk.outline.document(title)


class _Walk:
    """Reads the flat token list of markdown-it and keeps what is open: lists, table, heading."""

    def __init__(self) -> None:
        self.outline = Outline()
        self._lists: list[int | None] = []
        self._marker = ""
        self._heading_level = 0
        self._rows: list[list[str]] | None = None

    def step(self, token: Token) -> None:
        handler = _HANDLERS.get(token.type)
        if handler is not None:
            handler(self, token)

    def open_heading(self, token: Token) -> None:
        self._heading_level = int(token.tag[1])

    def close_heading(self, _: Token) -> None:
        self._heading_level = 0

    def open_list(self, token: Token) -> None:
        ordered = token.type == "ordered_list_open"
        self._lists.append(int(token.attrGet("start") or 1) if ordered else None)

    def close_list(self, _: Token) -> None:
        self._lists.pop()
        self._marker = ""
        if not self._lists:
            self.outline.close_list()

    def open_item(self, _: Token) -> None:
        number = self._lists[-1]
        self._marker = "- " if number is None else f"{number}. "
        if number is not None:
            self._lists[-1] = number + 1

    def open_table(self, _: Token) -> None:
        self._rows = []

    def open_row(self, _: Token) -> None:
        if self._rows is not None:
            self._rows.append([])

    def close_table(self, _: Token) -> None:
        if self._rows:
            self.outline.table(self._rows)
        self._rows = None

    def inline(self, token: Token) -> None:
        text = _inline_text(token)
        if self._heading_level:
            self.outline.heading(self._heading_level, text)
        elif self._rows:
            self._rows[-1].append(text)
        elif self._lists:
            self._add_item(text)
        else:
            self.outline.paragraph(text)

    def code(self, token: Token) -> None:
        self.outline.code(token.content)

    def html(self, token: Token) -> None:
        if _is_markup(token.content):
            add_html(token.content, self.outline)
        else:
            self.outline.paragraph(token.content)

    def template_tag(self, token: Token) -> None:
        label = _LABEL.search(token.content)
        if label and label[1][1:-1].strip():
            self.outline.paragraph(f"{label[1][1:-1].strip()}:")

    def _add_item(self, text: str) -> None:
        marker, self._marker = self._marker, ""
        self.outline.item(text, depth=len(self._lists) - 1, marker=marker or "  ")


_HANDLERS: dict[str, Callable[[_Walk, Token], None]] = {
    "heading_open": _Walk.open_heading,
    "heading_close": _Walk.close_heading,
    "bullet_list_open": _Walk.open_list,
    "ordered_list_open": _Walk.open_list,
    "bullet_list_close": _Walk.close_list,
    "ordered_list_close": _Walk.close_list,
    "list_item_open": _Walk.open_item,
    "table_open": _Walk.open_table,
    "tr_open": _Walk.open_row,
    "table_close": _Walk.close_table,
    "inline": _Walk.inline,
    "fence": _Walk.code,
    "code_block": _Walk.code,
    "html_block": _Walk.html,
    "template_tag": _Walk.template_tag,
}


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("table")
    interrupts = ["paragraph", "reference", "blockquote", "list", "table"]
    parser.block.ruler.before("fence", "template_tag", _template_tag_rule, {"alt": interrupts})
    return parser


def _template_tag_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A line that is a tag of a site generator ends what stands before it, list or paragraph."""
    if state.is_code_block(start):
        return False
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]].strip()
    if not _TEMPLATE_TAG.fullmatch(line):
        return False
    if not silent:
        token = state.push("template_tag", "", 0)
        token.content, token.markup = line, line[0]
        state.line = start + 1
    return True


def _split_front_matter(text: str) -> tuple[str, str, str]:
    """The body, and title and description of the front matter; what is no YAML mapping counts as text."""
    text = text.lstrip("\ufeff")
    match = _FRONT_MATTER.match(text)
    if match is None:
        return text, "", ""
    try:
        fields = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError):
        return text, "", ""
    if not isinstance(fields, dict):
        return (text[match.end() :], "", "") if fields is None else (text, "", "")
    title, description = fields.get("title"), fields.get("description")
    return text[match.end() :], _scalar(title), _scalar(description)


def _scalar(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _inline_text(token: Token) -> str:
    return "".join(_inline_parts(token.children or ())).strip()


def _inline_parts(children: list[Token] | tuple[()]) -> Iterator[str]:
    for child in children:
        if child.type in ("text", "code_inline", "text_special", "image"):
            yield child.content
        elif child.type == "softbreak":
            # Only where the author's editor wrapped the line: the sentence goes on.
            yield " "
        elif child.type == "hardbreak":
            yield "\n"
        elif child.type == "html_inline":
            yield _inline_html(child.content)


def _inline_html(tag: str) -> str:
    """Nothing for markup; a placeholder such as `<account-id>` is text that was not escaped."""
    if re.match(r"<br\b", tag, re.IGNORECASE):
        return "\n"
    return "" if _is_markup(tag) else tag


def _is_markup(html: str) -> bool:
    name = _TAG_NAME.match(html.lstrip())
    return name is None or name[1].lower() in HTML_TAGS
