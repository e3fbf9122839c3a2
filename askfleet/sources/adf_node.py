"""A node of an Atlassian document: an object with a type, attributes, marks and content."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import InvalidDocument

DEEPEST = 60
"""Levels that are converted; what lies deeper keeps its text alone."""
_REMEDY = "The field is not in the Atlassian Document Format; export the issue again."


@dataclass(frozen=True)
class Node:
    fields: dict[str, object]
    where: str = "document"
    depth: int = 0

    @classmethod
    def of(cls, value: object, where: str = "document", depth: int = 0) -> Node:
        if not isinstance(value, dict):
            raise InvalidDocument(f"{where} is {_shown(value)}, not a node.", remedy=_REMEDY)
        return cls(value, where, depth)


def node_type(node: Node) -> str:
    kind = node.fields.get("type")
    return kind if isinstance(kind, str) else ""


def attribute(node: Node, name: str) -> str:
    """As text; empty when it is missing."""
    attributes = node.fields.get("attrs")
    return text_of(attributes.get(name)) if isinstance(attributes, dict) else ""


def children(node: Node) -> list[Node]:
    content = node.fields.get("content")
    if content is None:
        return []
    if not isinstance(content, list):
        raise InvalidDocument(f"{node.where}.content is {_shown(content)}, not a list.", remedy=_REMEDY)
    return [Node.of(child, f"{node.where}.content[{at}]", node.depth + 1) for at, child in enumerate(content)]


def marks(node: Node) -> list[Node]:
    found = node.fields.get("marks")
    return [Node(mark) for mark in found if isinstance(mark, dict)] if isinstance(found, list) else []


def own_text(node: Node) -> str:
    return text_of(node.fields.get("text"))


def all_text(node: Node) -> str:
    """What stands in the node and below, as plain text; a walk without recursion, for any depth."""
    parts: list[str] = []
    waiting = [node]
    while waiting:
        current = waiting.pop()
        parts.append("\n" if node_type(current) == "hardBreak" else own_text(current))
        waiting += reversed(children(current))
    return "".join(parts)


def text_of(value: object) -> str:
    """A scalar as text; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "\u2026"
