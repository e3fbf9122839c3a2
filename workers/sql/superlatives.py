"""The most, the fewest, the top five, the oldest: which order and how many rows are kept."""

from dataclasses import replace

from workers.catalogue.words import word_set
from workers.sql.measures import (
    ADJECTIVES,
    Superlative,
    adjective_column,
    limit_at,
    measured_column,
)
from workers.sql.ordering import sort_span
from workers.sql.plan import Measure
from workers.sql.reading import Mention, Reading
from workers.sql.resolution import ColumnRef, Resolver

ALL_ROWS = 0
_FREQUENT = word_set("common commonly frequent frequently popular often used")
_MORE = word_set("most highest largest greatest biggest maximum max")
_FEWER = word_set("least fewest lowest smallest minimum min")
_FILLERS = word_set("the number of total amount count all wallet unit")
_AGGREGATE = {"average": "avg", "mean": "avg", "total": "sum", "combined": "sum"}


def find_superlatives(
    reading: Reading, resolver: Resolver, counts: list[Measure], aggregates: list[Measure]
) -> list[Superlative]:
    found = []
    sorting = sort_span(reading)
    for position, word in enumerate(reading.words):
        if position in reading.used or position in sorting or _is_comparison(reading, position):
            continue
        superlative = None
        if word in _MORE or word in _FEWER:
            superlative = _extreme(reading, resolver, position, counts, aggregates)
        elif word in ADJECTIVES and word.endswith("est"):
            superlative = _adjective(reading, resolver, position, position)
        elif word == "top" or (word == "bottom" and reading.word(position - 1) != "at"):
            superlative = _top(reading, resolver, position, counts, aggregates)
        if superlative is not None and reading.word(superlative.last) == "first":
            reading.explain([superlative.last])
            superlative = replace(superlative, limit=ALL_ROWS)
        if superlative is not None:
            found.append(superlative)
            reading.explain(range(superlative.first, superlative.last))
            reading.used.update(range(superlative.first, superlative.last))
    return _merged(found)


def _merged(found: list[Superlative]) -> list[Superlative]:
    """`top 5 ... with the highest X`: the number of the first, the order of the second."""
    limits = [item for item in found if item.measure is None and item.ref is None and not item.frequency]
    orders = [item for item in found if item not in limits]
    if limits and orders:
        return [
            replace(orders[0], limit=limits[0].limit, first=min(orders[0].first, limits[0].first)),
            *orders[1:],
        ]
    return found


def _is_comparison(reading: Reading, position: int) -> bool:
    return reading.word(position - 1) == "at" and reading.word(position) in ("most", "least")


def _extreme(
    reading: Reading, resolver: Resolver, position: int, counts: list[Measure], aggregates: list[Measure]
) -> Superlative | None:
    descending = reading.word(position) in _MORE
    following = reading.word(position + 1)
    limit = limit_at(reading, position) or 1
    if following in _FREQUENT:
        last = position + 2
        while reading.word(last) in _FREQUENT or reading.word(last) in ("in", "across", "among"):
            last += 1
        return Superlative(position, last, descending, limit, frequency=True)
    if following in ADJECTIVES:
        found = _adjective(reading, resolver, position, position + 1)
        if found is None:
            return None
        return replace(found, limit=limit, descending=found.descending == descending)
    count = next((m for m in counts if position < m.first <= position + 2), None)
    if count is not None:
        return _by_measure(position, count, descending, limit)
    if reading.word(position) in ("most", "least", "fewest") or following == "number":
        return _most_rows(reading, resolver, position, descending, limit)
    aggregate = next((m for m in aggregates if m.first == position + 1), None)
    if aggregate is not None:
        return _by_measure(position, aggregate, descending, limit)
    ended = _at_the_end(reading, resolver, position, counts)
    if ended is not None:
        return Superlative(ended[1], position + 1, descending, limit, ref=ended[0])
    mention = _after(reading, position)
    ref = measured_column(resolver, mention) if mention is not None else None
    if mention is None or ref is None or not _belongs_to_what_is_asked(reading, position):
        return None
    return Superlative(position, mention.last, descending, limit, ref=ref)


def _at_the_end(
    reading: Reading, resolver: Resolver, position: int, counts: list[Measure]
) -> tuple[ColumnRef, int] | None:
    """The column of `whose price is the highest`, and where it begins."""
    here = position - 1
    while reading.word(here) in ("the", "is", "are", "was", "were"):
        here -= 1
    if here == position - 1 or not {"is", "are", "was", "were"} & set(reading.words[here + 1 : position]):
        return None
    value = next(
        (m for m in counts if m.last == here + 1 and m.ref is not None and m.function == "value"), None
    )
    if value is not None and value.ref is not None:
        return value.ref, value.first
    mention = reading.at(here)
    ref = measured_column(resolver, mention) if mention is not None and mention.kind == "column" else None
    return (ref, mention.first) if mention is not None and ref is not None else None


def _belongs_to_what_is_asked(reading: Reading, position: int) -> bool:
    """`the song with the highest rating` asks for a song, `the highest rating` for a number."""
    before = reading.words[max(0, position - 4) : position]
    return bool(
        {"with", "has", "have", "having", "had", "whose", "received", "earns", "earn", "gets", "get"}
        & set(before)
    )


def _by_measure(position: int, measure: Measure, descending: bool, limit: int) -> Superlative:
    if measure.function == "value":
        return Superlative(position, measure.last, descending, limit, ref=measure.ref)
    return Superlative(position, measure.last, descending, limit, measure=measure)


def _most_rows(
    reading: Reading, resolver: Resolver, position: int, descending: bool, limit: int
) -> Superlative | None:
    mention = _after(reading, position)
    if mention is None:
        return None
    if mention.kind == "entity":
        measure = Measure(position, mention.last, "count", entity=resolver.entity_of(mention))
        return Superlative(position, mention.last, descending, limit, measure=measure)
    ref = measured_column(resolver, mention)
    return Superlative(position, mention.last, descending, limit, ref=ref) if ref is not None else None


def _after(reading: Reading, position: int) -> Mention | None:
    for here in range(position + 1, min(position + 5, len(reading.words))):
        mention = reading.at(here)
        if mention is not None:
            return mention if mention.kind in ("entity", "column") else None
        if reading.word(here) not in _FILLERS:
            return None
    return None


def _adjective(reading: Reading, resolver: Resolver, position: int, adjective: int) -> Superlative | None:
    mention = reading.next_mention(adjective + 1, word_set("and the of"), kinds=("entity",), reach=3)
    entity = resolver.entity_of(mention) if mention is not None else resolver.focus
    found = adjective_column(resolver, reading.word(adjective), entity)
    if found is None:
        return None
    limit = limit_at(reading, position) or 1
    return Superlative(position, adjective + 1, found[1], limit, ref=found[0])


def _top(
    reading: Reading, resolver: Resolver, position: int, counts: list[Measure], aggregates: list[Measure]
) -> Superlative | None:
    limit = limit_at(reading, position)
    if limit is None:
        return None
    descending = reading.word(position) == "top"
    last = position + 2
    by = reading.find("by", "based on", "in terms of", "according to", start=last)
    if by is None:
        return Superlative(position, last, descending, limit)
    measure = next((m for m in (*counts, *aggregates) if by[1] <= m.first <= by[1] + 1), None)
    if measure is not None:
        reading.explain(range(by[0], measure.last))
        reading.used.update(range(by[0], measure.last))
        found = _by_measure(position, measure, descending, limit)
        return replace(found, last=last)
    mention = reading.next_mention(by[1], word_set("the their its"), kinds=("column", "entity"), reach=3)
    if mention is None:
        return Superlative(position, last, descending, limit)
    reading.explain([*range(by[0], by[1])])
    reading.use(mention)
    if mention.kind == "entity":
        measure = Measure(mention.first, mention.last, "count", entity=resolver.entity_of(mention))
        return Superlative(position, last, descending, limit, measure=measure)
    ref = measured_column(resolver, mention)
    return Superlative(position, last, descending, limit, ref=ref) if ref else None
