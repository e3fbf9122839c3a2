"""Comparisons with other rows: the same department as Clara, more salary than the employee with id 163."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from workers.catalogue.words import word_set
from workers.sql.comparisons import Operator, comparison_before
from workers.sql.condition import Condition
from workers.sql.joins import JoinGraph
from workers.sql.measures import VERB_MEASURES, column_called, measured_column
from workers.sql.plan import Draft, column, render
from workers.sql.predicates import predicates
from workers.sql.reading import Mention, Reading
from workers.sql.resolution import ColumnRef, Resolver

_OPERATORS: dict[str, type[exp.Binary]] = {
    "=": exp.EQ, "<>": exp.NEQ, ">": exp.GT, ">=": exp.GTE, "<": exp.LT, "<=": exp.LTE,
}  # fmt: skip
_FILLERS = word_set("the any all that those of a an every some other earning paid lowest highest")
_SOMEBODY = word_set("someone somebody anyone anybody")
_HOLDS = (
    "with any",
    "with an",
    "with a",
    "that has",
    "that have",
    "which has",
    "where any",
    "where some",
    "with",
)
_ENDS = word_set(". ; ? ! excluding except")
_COMPARED_COLUMN = {
    "more": ">",
    "greater": ">",
    "higher": ">",
    "larger": ">",
    "less": "<",
    "lower": "<",
    "smaller": "<",
}


@dataclass(frozen=True)
class Subselect:
    """Conditions at tokens `first` to `last` (exclusive) are those of the rows that `ref` is compared
    with."""

    first: int
    last: int
    ref: ColumnRef
    operator: Operator | None = None
    """None: equal to that of any such row."""

    def predicate(
        self, draft: Draft, graph: JoinGraph, resolver: Resolver, conditions: Sequence[Condition]
    ) -> exp.Expr:
        inner = Draft(draft.model)
        inner.need(self.ref.entity)
        inner.where += predicates(inner, resolver, conditions)
        target = column(draft.model, self.ref)
        if self.operator is None:
            inner.outputs.append(target)
            select, _ = render(inner, graph, frozenset())
            return exp.In(this=draft.column(self.ref), query=exp.Subquery(this=select))
        # More than any of several is more than the most of them.
        function = exp.Max if self.operator in (">", ">=") else exp.Min
        inner.outputs.append(exp.alias_(function(this=target), "bound"))
        select, _ = render(inner, graph, frozenset())
        return _OPERATORS[self.operator](this=draft.column(self.ref), expression=exp.Subquery(this=select))


def find_subselects(reading: Reading, resolver: Resolver) -> list[Subselect]:
    found: list[Subselect] = []
    for position, word in enumerate(reading.words):
        if found and position < found[-1].last:
            continue
        subselect = None
        if word == "same":
            subselect = _same(reading, resolver, position)
        elif word == "than" and position not in reading.used:
            subselect = _than(reading, resolver, position)
        elif word in ("in", "within"):
            subselect = _together(reading, resolver, position)
        if subselect is not None:
            found.append(subselect)
    return found


def _same(reading: Reading, resolver: Resolver, position: int) -> Subselect | None:
    mention = reading.at(position + 1)
    if mention is None or resolver.focus is None or reading.word(mention.last) != "as":
        return None
    ref = _own_column(resolver, mention)
    if ref is None:
        return None
    reading.use(mention)
    return _taken(reading, resolver, Subselect(position, _end(reading, mention.last), ref))


def _own_column(resolver: Resolver, mention: Mention) -> ColumnRef | None:
    """The focus' own column for a table or column that is mentioned."""
    if mention.kind == "entity":
        return resolver.foreign_key(resolver.entity_of(mention))
    own = [target for target in mention.of("column") if target.entity == resolver.focus]
    return ColumnRef(own[0].entity, own[0].column or "") if own else None


def _than(reading: Reading, resolver: Resolver, position: int) -> Subselect | None:
    """`earn more than the employee with ...`: the focus' table is named again after `than`."""
    again = next(
        (
            mention
            for here in range(position + 1, min(position + 8, len(reading.words)))
            if (mention := reading.at(here)) is not None and mention.kind == "entity"
        ),
        None,
    )
    if again is None or resolver.entity_of(again) != resolver.focus:
        return None
    between = [reading.word(here) for here in range(position + 1, again.first)]
    inner = [reading.at(here) for here in range(position + 1, again.first)]
    if any(word not in _FILLERS and inner[at] is None for at, word in enumerate(between)):
        return None
    compared = _compared(reading, resolver, position)
    if compared is None:
        return None
    ref, operator, begin = compared
    for mention in inner:
        if mention is not None:
            reading.use(mention)
    reading.explain(range(begin, again.last))
    reading.used.update(range(begin, again.last))
    return _taken(reading, resolver, Subselect(begin, _end(reading, again.last), ref, operator))


def _compared(reading: Reading, resolver: Resolver, position: int) -> tuple[ColumnRef, Operator, int] | None:
    """The compared column and the operator: `more salary than`, `salary is smaller than`,
    `earn more than`."""
    between = reading.at(position - 1)
    if between is not None and between.kind == "column":
        word = reading.word(between.first - 1)
        ref = measured_column(resolver, between)
        if word in _COMPARED_COLUMN and ref is not None:
            reading.use(between)
            return ref, _COMPARED_COLUMN[word], between.first - 1  # type: ignore[return-value]
        return None
    found = comparison_before(reading, position + 1)
    if found is None:
        return None
    operator, begin = found
    left = reading.previous_mention(begin, word_set("is are was were that a an"), kinds=("column",), reach=4)
    ref = measured_column(resolver, left) if left is not None else None
    if left is not None and ref is not None:
        reading.use(left)
        return ref, operator, left.first
    for here in range(begin - 1, max(-1, begin - 4), -1):
        names = VERB_MEASURES.get(reading.word(here))
        known = column_called(resolver, resolver.focus, names) if names and resolver.focus else None
        if known is not None and resolver.focus:
            return ColumnRef(resolver.focus, known.name), operator, here
    return None


def _together(reading: Reading, resolver: Resolver, position: int) -> Subselect | None:
    """`work in a department with any employee whose ...`: rows that share the department."""
    start = position + 1
    while reading.word(start) in ("a", "an", "the", "those", "any"):
        start += 1
    mention = reading.at(start)
    if mention is None or mention.kind != "entity" or reading.is_used(mention):
        return None
    holds = next(
        (p for p in _HOLDS if reading.phrase(mention.last, mention.last + p.count(" ") + 1) == p), None
    )
    if holds is None:
        return None
    here = mention.last + holds.count(" ") + 1
    again = reading.at(here)
    somebody = reading.word(here) in _SOMEBODY
    if not somebody and (
        again is None or again.kind != "entity" or resolver.entity_of(again) != resolver.focus
    ):
        return None
    ref = resolver.foreign_key(resolver.entity_of(mention))
    if ref is None:
        return None
    reading.use(mention)
    reading.explain(range(position, here + 1))
    return _taken(reading, resolver, Subselect(position, _end(reading, here), ref))


def _taken(reading: Reading, resolver: Resolver, subselect: Subselect) -> Subselect:
    """Names of the focus inside are those of the other rows: they ask for nothing more."""
    for mention in reading.mentions:
        inside = subselect.first <= mention.first < subselect.last
        if inside and mention.kind == "entity" and resolver.entity_of(mention) == resolver.focus:
            reading.use(mention)
    filled = [
        here
        for here in range(subselect.first, subselect.last)
        if reading.word(here) in _SOMEBODY or reading.word(here) in ("same", "as", "than", "any")
    ]
    reading.explain(filled)
    return subselect


def _end(reading: Reading, start: int) -> int:
    for position in range(start, len(reading.words)):
        word = reading.word(position)
        if word in _ENDS or reading.phrase(position, position + 2) == "not including":
            return position
    return len(reading.words)
