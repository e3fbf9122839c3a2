"""Female, male, women, men: said in words where a column holds F and M."""

from sqlglot import exp

from workers.catalogue.model import Column
from workers.sql.condition import Condition
from workers.sql.reading import Reading
from workers.sql.resolution import ColumnRef, Resolver

_FEMALE, _MALE = frozenset({"f", "female", "w", "woman"}), frozenset({"m", "male", "man"})
_SAID = {
    "female": _FEMALE, "females": _FEMALE, "women": _FEMALE, "woman": _FEMALE,
    "male": _MALE, "males": _MALE, "men": _MALE, "man": _MALE,
}  # fmt: skip


def find_sexes(reading: Reading, resolver: Resolver) -> list[Condition]:
    found = []
    for position, word in enumerate(reading.words):
        if word not in _SAID or position in reading.used:
            continue
        made = _condition(resolver, position, word)
        if made is not None:
            reading.explain([position])
            reading.used.add(position)
            found.append(made)
    return found


def _condition(resolver: Resolver, position: int, word: str) -> Condition | None:
    for key in dict.fromkeys((resolver.focus, *resolver.mentioned())):
        for column in resolver.entity(key).visible if key else ():
            stored = _stored(column, _SAID[word])
            if stored is not None and key:
                value = (exp.Literal.string(stored),)
                return Condition(position, position + 1, ColumnRef(key, column.name), "=", value)
    return None


def _stored(column: Column, spelled: frozenset[str]) -> str | None:
    """How the column says it; only columns that hold nothing else are about the sexes."""
    lower = {value.lower(): value for value in column.values}
    known = _FEMALE | _MALE | {"other", "unknown", "x", "d", "n", ""}
    if not lower or not set(lower) <= known or not set(lower) & (_FEMALE | _MALE):
        return None
    return next((value for text, value in lower.items() if text in spelled), None)
