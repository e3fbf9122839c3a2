"""matplotlib's SVG as elements of a page: styles become classes, colours roles, numbers short, ids unique.

A strict content security policy forbids style attributes; a page that follows the reader's choice of light or
dark needs colours that a style sheet can change.
"""

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from loadgen.pages.markup import element
from loadgen.pages.palette import by_role

NUMBER = re.compile(r"-?\d+\.\d+")
FAMILY = re.compile(r"font-family:[^;]*;?\s*")
COORDINATES = ("d", "x", "y", "transform", "width", "height")


class StyleSheet:
    """Gives each distinct set of declarations one class."""

    def __init__(self) -> None:
        self._classes: dict[str, str] = {}

    def class_of(self, declarations: str) -> str:
        tidy = by_role(FAMILY.sub("", declarations)).strip().rstrip(";")
        return self._classes.setdefault(tidy, f"p{len(self._classes)}")

    def css(self) -> str:
        return "\n".join(f".{name}{{{declarations}}}" for declarations, name in self._classes.items())


def inline(source: str, key: str, described: str, sheet: StyleSheet) -> Element:
    """`described` is what a reader who can't see the plot hears; `key` makes the plot's ids its own."""
    root = ElementTree.fromstring(source)  # noqa: S314 (our own drawing, written a moment ago)
    _tidy(root, key, sheet)
    root.attrib = {
        "viewBox": root.get("viewBox", ""),
        "role": "img",
        "aria-labelledby": f"{key}-about",
        "class": "plot",
    }
    root.insert(0, element("title", described, id=f"{key}-about"))
    return root


def _tidy(node: Element, key: str, sheet: StyleSheet) -> None:
    node.tag = _local(node.tag)
    node.attrib = dict(_attributes(node, key, sheet))
    node.text, node.tail = (node.text if node.tag == "text" else None), None
    for child in list(node):
        if _local(child.tag) in ("style", "metadata"):
            node.remove(child)
        else:
            _tidy(child, key, sheet)


def _attributes(node: Element, key: str, sheet: StyleSheet) -> list[tuple[str, str]]:
    kept: list[tuple[str, str]] = []
    for full_name, value in node.attrib.items():
        name = _local(full_name)
        if name == "style":
            kept.append(("class", sheet.class_of(value)))
        elif name == "id" and node.tag == "g":
            continue
        elif name == "id":
            kept.append((name, f"{key}-{value}"))
        elif name == "href":
            kept.append((name, f"#{key}-{value.removeprefix('#')}"))
        elif name == "clip-path":
            kept.append((name, value.replace("#", f"#{key}-")))
        elif not (name == "transform" and value.startswith("rotate(-0 ")):
            kept.append((name, _short(value) if name in COORDINATES else value))
    return kept


def _short(coordinates: str) -> str:
    """A tenth of a point is finer than any screen shows."""
    return NUMBER.sub(
        lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), coordinates.replace("\n", "")
    )


def _local(name: str) -> str:
    return name.rpartition("}")[2]
