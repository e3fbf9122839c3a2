"""What is not certain about a reading, said so that the reader can ask again."""

from workers.catalogue.linking import Link, SchemaIndex, Target, link

_EQUAL = 0.02
_MAX_READINGS = 3


def doubt_about(question: str, index: SchemaIndex, unexplained: tuple[str, ...]) -> str:
    """The words without a place, and the words that may mean several things, with what they may mean."""
    parts = []
    if unexplained:
        parts.append(f"These words have no place in the statement: {', '.join(unexplained)}.")
    parts += ambiguities(question, index)[:2]
    return " ".join(parts) or "The question can be read in more than one way."


def ambiguities(question: str, index: SchemaIndex) -> list[str]:
    """`"name" may mean customers.name or agents.name; which one?`"""
    found = link(question, index)
    named = {target.entity for item in found.links for target in item.of("entity")[:1]}
    said = []
    for item in found.links:
        readings = _readings(item, named)
        if 1 < len(readings) <= _MAX_READINGS:
            words = " ".join(token.text for token in found.tokens[item.first : item.last])
            shown = ", ".join(readings[:-1]) + f" or {readings[-1]}"
            said.append(f'"{words}" may mean {shown}: name the one that you mean.')
    return said


def _readings(item: Link, named: set[str]) -> list[str]:
    """What fits a phrase equally well; a table that the question names anyway decides."""
    close = [target for target in item.targets if target.score >= item.score - _EQUAL]
    near = [target for target in close if target.entity in named]
    return list(dict.fromkeys(_shown(target) for target in (near or close)))


def _shown(target: Target) -> str:
    table = target.entity.rpartition(".")[2]
    shown = f"{table}.{target.column}" if target.column else f"the table {table}"
    return f"{target.value!r} in {shown}" if target.kind == "value" else shown
