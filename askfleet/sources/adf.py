"""Atlassian Document Format to Markdown.

The nodes and marks are those of the format's JSON schema, version 1. A node that is not known keeps what it
contains; a mark that Markdown lacks (underline, colour, sub and superscript) keeps its text.
"""

from collections.abc import Callable, Mapping, Sequence

from askfleet.sources.adf_inline import inline
from askfleet.sources.adf_node import DEEPEST, Node, all_text, attribute, children, node_type
from askfleet.sources.adf_table import rows_of, table_markdown
from askfleet.sources.escaping import code_block, escaped_starts, indented, quoted

_INLINE_TYPES = frozenset(
    {"text", "hardBreak", "mention", "emoji", "date", "status", "inlineCard", "placeholder", "mediaInline",
     "inlineExtension", "media", "image"}
)  # fmt: skip
_LIST_INDENT = 4


def adf_markdown(document: object) -> str:
    """The Markdown of a document or of a single node.

    Raises:
        InvalidDocument: a node is no object, or its content is no list; the message names where.
    """
    return block(Node.of(document))


def block(node: Node) -> str:
    """Without newlines at either end."""
    if node.depth > DEEPEST:
        return all_text(node)
    kind = node_type(node)
    if kind in _INLINE_TYPES:
        return inline([node])
    handler = _BLOCKS.get(kind)
    if handler is not None:
        return handler(node)
    return _unknown(node)


def _unknown(node: Node) -> str:
    kept = _content(node)
    return kept or escaped_starts(attribute(node, "text") or attribute(node, "title"))


def _content(node: Node) -> str:
    return "\n\n".join(part for part in _parts(children(node)) if part)


def _parts(nodes: Sequence[Node]) -> list[str]:
    """Blocks each for itself; inline nodes that stand among them, as in a task, run together."""
    parts: list[str] = []
    run: list[Node] = []
    for node in nodes:
        if node_type(node) in _INLINE_TYPES:
            run.append(node)
            continue
        parts += [_text(run), block(node)]
        run = []
    return [*parts, _text(run)]


def _text(run: Sequence[Node]) -> str:
    return escaped_starts(inline(run).strip()) if run else ""


def _paragraph(node: Node) -> str:
    return _text(children(node))


def _heading(node: Node) -> str:
    stated = attribute(node, "level")
    level = min(max(int(stated), 1), 6) if stated.isdecimal() and len(stated) < 10 else 1
    return f"{'#' * level} {inline(children(node)).strip()}".replace("  \n", " ").rstrip()


def _code(node: Node) -> str:
    return code_block(all_text(node), attribute(node, "language"))


def _quote(node: Node) -> str:
    return quoted(_content(node))


def _panel(node: Node) -> str:
    name = (attribute(node, "panelType") or "note").upper()
    return quoted(f"**{name}**\n\n{_content(node)}".rstrip())


def _expand(node: Node) -> str:
    title = attribute(node, "title").strip()
    return "\n\n".join(part for part in (f"**{title}**" if title else "", _content(node)) if part)


def _bullets(node: Node) -> str:
    return "\n".join(_item(item, "- ") for item in children(node))


def _numbers(node: Node) -> str:
    stated = attribute(node, "order")
    first = int(stated) if stated.isdecimal() and len(stated) < 10 else 1
    return "\n".join(_item(item, f"{first + at}. ") for at, item in enumerate(children(node)))


def _item(item: Node, marker: str) -> str:
    """A list below the item's text follows at once, any other block after an empty line."""
    body = _list_item(item)
    first, newline, rest = body.partition("\n")
    return marker + first + newline + indented(rest, max(_LIST_INDENT, len(marker)))


def _list_item(node: Node) -> str:
    body = ""
    for part, tight in _with_tightness(node):
        if part:
            body += ("\n" if tight else "\n\n") * bool(body) + part
    return body


def _with_tightness(node: Node) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    run: list[Node] = []
    for child in children(node):
        if node_type(child) in _INLINE_TYPES:
            run.append(child)
            continue
        found += [(_text(run), False), (block(child), node_type(child) in _LISTS)]
        run = []
    return [*found, (_text(run), False)]


def _tasks(node: Node) -> str:
    """A list that stands among the items belongs to the item above it."""
    lines: list[str] = []
    for child in children(node):
        if node_type(child) in _LISTS:
            lines.append(indented(block(child), _LIST_INDENT))
        else:
            done = attribute(child, "state").upper() == "DONE"
            lines.append(_item(child, "- [x] " if done else "- [ ] "))
    return "\n".join(lines)


def _decisions(node: Node) -> str:
    return "\n".join(_item(child, "- ") for child in children(node))


def _rule(_: Node) -> str:
    return "---"


def _table(node: Node) -> str:
    return table_markdown(rows_of(node), cell)


def _row(node: Node) -> str:
    return "| " + " | ".join(cell(child) for child in children(node)) + " |"


def cell(node: Node) -> str:
    """On one line; a paragraph ends with a break, as a list after it begins on its own line."""
    if node.depth > DEEPEST:
        return all_text(node).replace("\n", "<br>")
    nodes = children(node)
    parts = [part for part in _cell_parts(nodes) if part]
    text = "\n".join(parts)
    if nodes and node_type(nodes[-1]) == "paragraph" and text:
        text += "\n"
    return "<br>".join(line.rstrip() for line in _escaped_pipes(text).split("\n"))


def _cell_parts(nodes: Sequence[Node]) -> list[str]:
    if all(node_type(node) in _INLINE_TYPES for node in nodes):
        return [inline(nodes).strip()]
    return [
        inline(children(node)).strip() if node_type(node) == "paragraph" else block(node) for node in nodes
    ]


def _escaped_pipes(text: str) -> str:
    return text.replace("\\|", "|").replace("|", "\\|")


_LISTS = frozenset({"bulletList", "orderedList", "taskList", "decisionList"})
_BLOCKS: Mapping[str, Callable[[Node], str]] = {
    "paragraph": _paragraph,
    "heading": _heading,
    "codeBlock": _code,
    "blockquote": _quote,
    "panel": _panel,
    "expand": _expand,
    "nestedExpand": _expand,
    "bulletList": _bullets,
    "orderedList": _numbers,
    "listItem": _list_item,
    "taskList": _tasks,
    "taskItem": _list_item,
    "blockTaskItem": _list_item,
    "decisionList": _decisions,
    "decisionItem": _list_item,
    "rule": _rule,
    "table": _table,
    "tableRow": _row,
    "tableHeader": cell,
    "tableCell": cell,
    "caption": _paragraph,
    "blockCard": lambda node: inline([node]),
    "embedCard": lambda node: inline([node]),
}
