"""Text, marks and what stands within a line of an Atlassian document."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from askfleet.sources.adf_node import Node, all_text, attribute, children, marks, node_type, own_text
from askfleet.sources.escaping import code_span, escaped, image, link

_ORDER = ("link", "strong", "em", "strike", "code")
_SIGNS = {"strong": "**", "em": "*", "strike": "~~"}


@dataclass(frozen=True)
class _Run:
    """A piece of text and what is still to be put around it, outermost first: (mark, target of a link)."""

    markdown: str
    marks: tuple[tuple[str, str], ...]


def inline(nodes: Sequence[Node]) -> str:
    """Neighbours that share a mark stand within one pair of signs."""
    return _wrapped([_run(node) for node in nodes])


def _run(node: Node) -> _Run:
    found = {node_type(mark): attribute(mark, "href") for mark in marks(node)}
    kept = tuple((name, found[name]) for name in _ORDER if name in found)
    handler = _INLINE.get(node_type(node))
    if handler is not None:
        return _Run(handler(node), tuple(mark for mark in kept if mark[0] != "code"))
    text = own_text(node) or all_text(node) or attribute(node, "text")
    return _Run(text if "code" in found else escaped(text), kept)


def _wrapped(runs: Sequence[_Run]) -> str:
    parts: list[str] = []
    for mark, group in groupby(runs, key=lambda run: run.marks[0] if run.marks else None):
        members = list(group)
        if mark is None:
            parts += [run.markdown for run in members]
            continue
        inner = _wrapped([_Run(run.markdown, run.marks[1:]) for run in members])
        parts.append(_marked(inner, mark))
    return "".join(parts)


def _marked(inner: str, mark: tuple[str, str]) -> str:
    """Blanks go outside: a sign next to a blank would not be read as one."""
    name, target = mark
    core = inner.strip()
    if name == "code":
        return code_span(inner) if inner else ""
    if not core:
        return inner
    lead, tail = inner[: len(inner) - len(inner.lstrip())], inner[len(inner.rstrip()) :]
    if name == "link":
        return lead + link(core, target) + tail
    return lead + _SIGNS[name] + core + _SIGNS[name] + tail


def _mention(node: Node) -> str:
    name = attribute(node, "text") or attribute(node, "id")
    return escaped(name if name.startswith("@") or not name else f"@{name}")


def _emoji(node: Node) -> str:
    return attribute(node, "text") or attribute(node, "shortName") or attribute(node, "id")


def _date(node: Node) -> str:
    """Milliseconds since 1970, UTC."""
    stamp = attribute(node, "timestamp")
    try:
        return datetime.fromtimestamp(float(stamp) / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return escaped(stamp)


def _status(node: Node) -> str:
    text = attribute(node, "text")
    return code_span(text) if text else ""


def _card(node: Node) -> str:
    """A card without an address carries its object as JSON-LD."""
    url, name = attribute(node, "url"), ""
    attributes = node.fields.get("attrs")
    data = attributes.get("data") if isinstance(attributes, dict) else None
    if isinstance(data, dict):
        card = Node({"attrs": data})
        url, name = url or attribute(card, "url") or attribute(card, "@id"), attribute(card, "name")
    return link(escaped(name) or url, url)


def _media(node: Node) -> str:
    """A file has no address of its own: its name stands for it."""
    alt = attribute(node, "alt") or attribute(node, "__fileName")
    url = attribute(node, "url")
    if not url:
        name = alt or attribute(node, "id") or "file"
        return image(escaped(name), f"attachment:{attribute(node, 'id') or name}")
    return image(escaped(alt), url)


def _placeholder(node: Node) -> str:
    return escaped(attribute(node, "text"))


def _extension(node: Node) -> str:
    return inline(children(node)) or escaped(attribute(node, "text"))


def _break(_: Node) -> str:
    return "  \n"


_INLINE: Mapping[str, Callable[[Node], str]] = {
    "hardBreak": _break,
    "mention": _mention,
    "emoji": _emoji,
    "date": _date,
    "status": _status,
    "inlineCard": _card,
    "blockCard": _card,
    "embedCard": _card,
    "media": _media,
    "mediaInline": _media,
    "image": _media,
    "placeholder": _placeholder,
    "inlineExtension": _extension,
}
