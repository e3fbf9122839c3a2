"""HTML as a tree of elements: text is escaped when the tree is written, wherever it came from."""

from collections.abc import Iterable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

Node = Element | str


def element(tag: str, *children: Node, **attributes: str) -> Element:
    """An attribute's trailing underscore is dropped, others become dashes: `class_`, `aria_label`."""
    made = Element(tag, {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()})
    return extend(made, children)


def extend(parent: Element, children: Iterable[Node]) -> Element:
    for child in children:
        if isinstance(child, Element):
            parent.append(child)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + child
        else:
            parent.text = (parent.text or "") + child
    return parent


def table(headers: Iterable[str], rows: Iterable[Iterable[Node]], caption: str = "") -> Element:
    """The first column names the row. The table scrolls sideways where the screen is narrow."""
    names = list(headers)
    head = element("thead", element("tr", *(element("th", name, scope="col") for name in names)))
    body = element("tbody", *(_row(list(cells)) for cells in rows))
    parts = [element("caption", caption)] if caption else []
    return element("div", element("table", *parts, head, body), class_="scroll", tabindex="0", role="region",
                   aria_label=caption or names[0])  # fmt: skip


def _row(cells: list[Node]) -> Element:
    first, *others = cells
    return element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in others))


def document(root: Element) -> str:
    return "<!doctype html>\n" + ElementTree.tostring(root, encoding="unicode", method="html") + "\n"
