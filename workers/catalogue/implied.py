"""Keys and joins that a database does not declare but its names imply."""

from collections.abc import Iterable, Sequence

from workers.catalogue.model import Entity, Join
from workers.catalogue.words import split_identifier, stem

_PEOPLE = ("employee", "staff", "user", "person", "people", "worker")
_SUPERIORS = frozenset({"manager", "supervisor", "boss", "superior", "lead"})


def inferred_key(
    table: str, columns: Sequence[tuple[str, bool]], other_tables: Iterable[str] = ()
) -> tuple[str, ...]:
    """The key of a table that declares none: `id`, `<table>_id`, or its only required id-like column.

    Args:
        columns: name and whether it is NOT NULL, in table order.
        other_tables: a required `<other>_id` refers to one of these and is no key.
    """
    others = {"".join(stem(word) for word in split_identifier(other)) for other in other_tables}
    own = "".join(stem(word) for word in split_identifier(table))
    for name, _ in columns:
        words = split_identifier(name)
        if words in (("id",), ("uid",)) or "".join(stem(word) for word in words) == f"{own}id":
            return (name,)
    required = [
        name
        for name, needed in columns
        if needed and is_id_like(name) and "".join(stem(w) for w in split_identifier(name)[:-1]) not in others
    ]
    return (required[0],) if len(required) == 1 else ()


def is_id_like(name: str) -> bool:
    """`order_id`, `orderId`, `orderid`, or a short code such as `pid`."""
    lower = name.lower()
    return split_identifier(name)[-1:] in (("id",), ("key",)) or (lower.endswith("id") and lower != "paid")


def implied_joins(entities: Iterable[Entity], declared: Iterable[Join]) -> tuple[Join, ...]:
    """Joins by a column named as another table's key, or `<table>_id`; none where a key is declared."""
    known = list(entities)
    taken = {(join.left, column) for join in declared for column, _ in join.columns}
    found = []
    for entity in known:
        for column in entity.columns:
            if (entity.key, column.name) in taken or entity.primary_key == (column.name,):
                continue
            target = _target(entity, column.name, known)
            if target is not None:
                pairs = ((column.name, target.primary_key[0]),)
                found.append(Join(entity.key, target.key, pairs, "implied"))
    return tuple(found)


def _target(entity: Entity, name: str, known: list[Entity]) -> Entity | None:
    if not (is_id_like(name) or name.lower().endswith(("_code", "_no", "_number"))):
        return None
    keyed = [other for other in known if len(other.primary_key) == 1 and _same_kind(entity, name, other)]
    base = tuple(stem(word) for word in split_identifier(name)[:-1])
    for size in range(len(base), 0, -1):
        tail = base[-size:]
        named = [other for other in keyed if _table_stems(other) in (tail, ("".join(tail),))]
        if named:
            return _nearest(entity, named)
    same = [
        other for other in keyed if other.primary_key[0] == name and name.lower() != "id" and other != entity
    ]
    if same:
        return _nearest(entity, same)
    if base and base[-1] in _SUPERIORS:
        people = [other for other in keyed if _table_stems(other)[-1:] in [(word,) for word in _PEOPLE]]
        return people[0] if len(people) == 1 else None
    return None


def _nearest(entity: Entity, candidates: list[Entity]) -> Entity:
    """Prefer a table of the same schema."""
    return next((other for other in candidates if other.schema == entity.schema), candidates[0])


def _same_kind(entity: Entity, name: str, other: Entity) -> bool:
    left, right = entity.column(name), other.column(other.primary_key[0])
    return left is not None and right is not None and left.kind == right.kind


def _table_stems(entity: Entity) -> tuple[str, ...]:
    return tuple(stem(word) for word in split_identifier(entity.table))
