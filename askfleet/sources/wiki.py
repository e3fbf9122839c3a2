"""Jira's wiki markup, which version 2 of its API speaks, to Markdown."""

import re
from collections.abc import Iterator

from askfleet.sources.escaping import code_block, code_span, escaped, escaped_starts, image, link, quoted

_LONGEST = 2_000_000
_BLOCK = re.compile(r"\{(code|noformat|quote|panel)(?::([^}\n]{0,300}))?\}")
_LANGUAGE = re.compile(r"(?:^|\|)(?:language=)?([A-Za-z][\w+#.-]*)(?=\||$)")
_TITLE = re.compile(r"(?:^|\|)title=([^|]*)")
_HEADING = re.compile(r"[ \t]*h([1-6])\.[ \t]*(.*)")
_ITEM = re.compile(r"[ \t]*([*#-]{1,12})[ \t]+(.*)")
_RULE = re.compile(r"[ \t]*-{4,}[ \t]*")
_QUOTE_LINE = re.compile(r"[ \t]*bq\.[ \t]*(.*)")
_HEADER_ROW = re.compile(r"[ \t]*\|\|.*")
_ROW = re.compile(r"[ \t]*\|.*")
_INDENT = 4
_INLINE = re.compile(
    r"""(?P<escape>\\(?P<sign>[{}\[\]*_+^~!|?#-]))
    | (?P<newline>\\\\)
    | \{\{(?P<mono>[^}\n]{1,2000})\}\}
    | \{color(?::[^}\n]{1,40})?\} | \{anchor:[^}\n]{1,200}\}
    | \[~(?P<user>[^\]\n]{1,200})\]
    | \[(?:(?P<label>[^\]\[|\n]{1,1000})\|)?(?P<target>[^\]\[\n|]{1,2000})(?:\|[^\]\n]{0,200})?\]
    | !(?P<image>[^!\n|\s][^!\n|]{0,500})(?:\|[^!\n]{0,300})?!
    | (?P<url>https?://[^\s|\]<>"]{1,2000})
    | (?<![\w*])\*(?P<bold>\S(?:[^*\n]{0,2000}\S)?)\*(?![\w*])
    | (?<![\w_])_(?P<italic>\S(?:[^_\n]{0,2000}\S)?)_(?![\w_])
    | (?<![\w-])-(?P<strike>[^\s-](?:[^\n-]{0,500}[^\s-])?)-(?![\w-])
    | (?<![\w+])\+(?P<inserted>[^\s+](?:[^\n+]{0,500}[^\s+])?)\+(?![\w+])
    | \?\?(?P<cited>[^?\n]{1,500})\?\?""",
    re.VERBOSE,
)


def wiki_markdown(text: str) -> str:
    """Markup that is not closed, or not known, stays as text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > _LONGEST:
        return escaped_starts(escaped(text))
    return "\n\n".join(part for part in _blocks(text) if part)


def _blocks(text: str) -> Iterator[str]:
    at = 0
    while opened := _BLOCK.search(text, at):
        closing = f"{{{opened[1]}}}"
        end = text.find(closing, opened.end())
        if end < 0:
            # Not closed: the rest of the text is its content, as Jira shows it.
            end = len(text)
        yield _lines(text[at : opened.start()])
        yield _block(opened[1], opened[2] or "", text[opened.end() : end])
        at = end + len(closing)
    yield _lines(text[at:])


def _block(kind: str, options: str, content: str) -> str:
    if kind in ("code", "noformat"):
        language = _LANGUAGE.search(options) if kind == "code" else None
        return code_block(content.strip("\n"), language[1] if language else "")
    title = _TITLE.search(options)
    inner = "\n\n".join(part for part in _blocks(content.strip("\n")) if part) if content.strip() else ""
    return quoted(f"**{_inline(title[1])}**\n\n{inner}".rstrip() if title and title[1].strip() else inner)


def _lines(text: str) -> str:
    """Blocks of lines: each kind of line runs on until another begins."""
    parts: list[str] = []
    group: list[str] = []
    kind = ""
    for line in [*text.split("\n"), ""]:
        this = _kind(line)
        if this != kind or this == "heading":
            parts.append(_group(kind, group))
            group, kind = [], this
        group.append(line)
    return "\n\n".join(part for part in [*parts, _group(kind, group)] if part)


def _kind(line: str) -> str:
    if not line.strip():
        return "blank"
    for name, pattern in (("heading", _HEADING), ("rule", _RULE), ("quote", _QUOTE_LINE)):
        if pattern.fullmatch(line):
            return name
    if _ITEM.fullmatch(line):
        return "list"
    return "table" if _ROW.fullmatch(line) else "text"


def _group(kind: str, lines: list[str]) -> str:
    if kind == "heading":
        found = _HEADING.fullmatch(lines[0])
        return f"{'#' * int(found[1])} {_inline(found[2])}".rstrip() if found else ""
    if kind == "rule":
        return "---"
    if kind == "quote":
        return quoted("\n".join(_inline(_QUOTE_LINE.sub(r"\1", line)) for line in lines))
    if kind == "list":
        return "\n".join(_item(line) for line in _numbered(lines))
    if kind == "table":
        return _table(lines)
    if kind == "text":
        return escaped_starts("  \n".join(_inline(line.strip()) for line in lines))
    return ""


def _numbered(lines: list[str]) -> Iterator[tuple[str, int, str]]:
    """(marks, number of the item in its list, text)."""
    counts: dict[str, int] = {}
    for line in lines:
        found = _ITEM.fullmatch(line)
        if found is None:
            continue
        marks = found[1]
        counts = {known: number for known, number in counts.items() if len(known) <= len(marks)}
        counts[marks] = counts.get(marks, 0) + 1
        yield marks, counts[marks], found[2]


def _item(item: tuple[str, int, str]) -> str:
    marks, number, text = item
    sign = f"{number}. " if marks.endswith("#") else "- "
    return " " * _INDENT * (len(marks) - 1) + sign + _inline(text)


def _table(lines: list[str]) -> str:
    rows = [[_cell(cell) for cell in _cells(line)] for line in lines]
    width = max(len(row) for row in rows)
    shown = ["| " + " | ".join([*row, *[""] * (width - len(row))]) + " |" for row in rows]
    if not _HEADER_ROW.fullmatch(lines[0]):
        shown.insert(0, "| " + " | ".join([""] * width) + " |")
    shown.insert(1, "| " + " | ".join(["---"] * width) + " |")
    return "\n".join(shown)


def _cells(line: str) -> list[str]:
    """A bar within a link or an image parts no cells."""
    guarded = re.sub(r"\[[^\]\n]{0,2000}\]|![^!\n\s][^!\n]{0,500}!", _guard, line.strip())
    cells = re.split(r"\|{1,2}", guarded.strip("|"))
    return [cell.replace("\0", "|").strip() for cell in cells]


def _guard(found: re.Match[str]) -> str:
    return found[0].replace("|", "\0")


def _cell(text: str) -> str:
    return _inline(text).replace("  \n", "<br>").replace("|", "\\|")


def _inline(text: str) -> str:
    parts: list[str] = []
    at = 0
    for found in _INLINE.finditer(text):
        parts += [escaped(text[at : found.start()]), _markup(found)]
        at = found.end()
    return "".join([*parts, escaped(text[at:])])


def _markup(found: re.Match[str]) -> str:
    kind = found.lastgroup
    value = found[kind] if kind else ""
    if kind == "escape":
        return "\\" + str(found["sign"])
    if kind == "newline":
        return "  \n"
    if kind == "mono":
        return code_span(value)
    if kind == "user":
        return escaped("@" + value.removeprefix("accountid:"))
    if kind == "image":
        return image(escaped(value.rpartition("/")[2]), value)
    if kind in _SIGNS:
        return _SIGNS[kind] + _inline(value) + _SIGNS[kind]
    if found["target"]:
        return _link(found["label"], found["target"])
    return value if kind == "url" else _inline(value) if kind else ""


def _link(label: str | None, target: str) -> str:
    """An attachment is named, a word in brackets that leads nowhere stays a word in brackets."""
    if target.startswith("^"):
        return link(escaped(label or target[1:]), f"attachment:{target[1:]}")
    if label is None and not re.match(
        r"[a-z][a-z0-9+.-]{1,20}:|#|/|[A-Z][A-Z0-9_]+-\d+$", target, re.IGNORECASE
    ):
        return f"[{escaped(target)}]"
    return link(_inline(label) if label else escaped(target), target)


_SIGNS = {"bold": "**", "italic": "*", "strike": "~~"}
