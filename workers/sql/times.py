"""Conditions on dates and times."""

from collections.abc import Iterable

from sqlglot import exp

from workers.catalogue.linking import Target
from workers.catalogue.model import Column
from workers.sql.comparisons import comparison_before
from workers.sql.condition import Condition
from workers.sql.dates import Moment
from workers.sql.reading import Reading
from workers.sql.resolution import ColumnRef, Resolver


def time_condition(
    reading: Reading, resolver: Resolver, moments: dict[int, Moment], position: int
) -> Condition | None:
    moment = moments[position]
    first, last, start = moment.first, moment.last, reading.word(moment.first - 1)
    operator, begin = comparison_before(reading, first) or ("=", first)
    end_moment = None
    if start in ("between", "from") or reading.word(first - 2) == "between":
        here = last
        while reading.word(here) in ("inclusive", "exclusive", "and", "to"):
            here += 1
        end_moment = moments.get(here)
        begin = first - 1
    found = _time_column(reading, resolver, begin, moment)
    if found is None:
        return None
    ref, left = found
    if end_moment is not None:
        moment = _joined(reading, moment, end_moment)
        last = moment.last
    value = _year_number(resolver.column(ref), moment)
    if resolver.column(ref).kind == "number" and value is None:
        return None
    return Condition(min(left, begin), last, ref, operator, (value,) if value else (), moment=moment)


def _joined(reading: Reading, one: Moment, other: Moment) -> Moment:
    exclusive = reading.word(other.last) == "exclusive"
    return Moment(one.first, other.last + exclusive, one.start, other.start if exclusive else other.end)


def _year_number(column: Column, moment: Moment) -> exp.Expr | None:
    if column.kind != "number" or moment.start is None or not moment.start.endswith("-01-01'"):
        return None
    return exp.Literal.number(moment.start[6:10])


def _time_column(
    reading: Reading, resolver: Resolver, begin: int, moment: Moment
) -> tuple[ColumnRef, int] | None:
    """The date column nearest before the time, else the one of the tables in question."""
    whole_year = moment.start is not None and moment.start.endswith("-01-01'") and not moment.point
    kinds = ("date", "timestamp", "number") if whole_year else ("date", "timestamp")
    for here in range(begin - 1, max(-1, begin - 9), -1):
        mention = reading.at(here)
        if mention is None or mention.kind != "column" or mention.last - 1 in reading.used:
            continue
        targets = [t for t in mention.of("column") if _is_time(resolver, t, kinds)]
        ref = resolver.column_of(targets, resolver.owners(mention, before=True)) if targets else None
        if ref is not None:
            return ref, mention.first if here >= begin - 4 else begin
    return _date_of_tables(reading, resolver, begin, kinds)


def _is_time(resolver: Resolver, target: Target, kinds: tuple[str, ...]) -> bool:
    column = resolver.column(ColumnRef(target.entity, target.column or ""))
    return column.kind in kinds and (column.kind != "number" or "year" in column.name.lower())


def _date_of_tables(
    reading: Reading, resolver: Resolver, begin: int, kinds: tuple[str, ...]
) -> tuple[ColumnRef, int] | None:
    near = [m for m in reading.mentions if m.kind == "entity" and m.last <= begin]
    keys = [resolver.entity_of(m) for m in reversed(near)]
    for key in dict.fromkeys((*keys, *([resolver.focus] if resolver.focus else []), *resolver.mentioned())):
        names = [
            column.name
            for column in _business_dates_first(resolver.entity(key).visible)
            if column.kind in kinds and (column.kind != "number" or "year" in column.name.lower())
        ]
        if names:
            if len(names) > 1 or (keys and key != keys[0]):
                resolver.doubts += 1
            return ColumnRef(key, names[0]), begin
    return None


def _business_dates_first(columns: Iterable[Column]) -> list[Column]:
    """Dates that say when a row was written are second choice."""
    book = ("created", "updated", "modified", "crtd", "inserted", "deleted")
    return sorted(columns, key=lambda column: any(word in column.name.lower() for word in book))
