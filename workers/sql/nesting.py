"""Comparisons with an aggregate: above the average, higher than the mean price."""

from dataclasses import dataclass

from sqlglot import exp

from workers.catalogue.words import word_set
from workers.sql.comparisons import Operator, comparison_after, comparison_before
from workers.sql.dates import number_of
from workers.sql.measures import VERB_MEASURES, column_called, measured_column
from workers.sql.plan import Draft, column, identifier
from workers.sql.reading import Reading
from workers.sql.resolution import ColumnRef, Resolver

_FUNCTIONS: dict[str, type[exp.Expr]] = {
    "average": exp.Avg, "mean": exp.Avg, "maximum": exp.Max, "minimum": exp.Min, "highest": exp.Max,
    "lowest": exp.Min, "total": exp.Sum, "sum": exp.Sum,
}  # fmt: skip
_OPERATORS: dict[str, type[exp.Binary]] = {
    "=": exp.EQ, "<>": exp.NEQ, ">": exp.GT, ">=": exp.GTE, "<": exp.LT, "<=": exp.LTE,
}  # fmt: skip
_LEFT = word_set(
    "is are was were that which whose has have a an the higher lower greater more less than with of"
)


@dataclass(frozen=True)
class NestedComparison:
    """`ref operator aggregate(ref)` over the whole table,
    or `aggregate(ref) operator number` for each group."""

    ref: ColumnRef
    operator: Operator
    function: type[exp.Expr]
    number: float | None = None

    def predicate(self, draft: Draft) -> exp.Expr:
        if self.number is not None:
            draft.need(self.ref.entity)
            return exp.true()
        inner = exp.Select().select(self.function(this=exp.Column(this=identifier(self.ref.column))))
        entity = draft.model.by_key[self.ref.entity]
        source = exp.Table(this=identifier(entity.table), db=identifier(entity.schema))
        query = exp.Subquery(this=inner.from_(source))
        return _OPERATORS[self.operator](this=draft.column(self.ref), expression=query)

    def having(self, draft: Draft) -> list[exp.Expr]:
        if self.number is None:
            return []
        aggregate = self.function(this=column(draft.model, self.ref))
        return [_OPERATORS[self.operator](this=aggregate, expression=exp.Literal.number(repr(self.number)))]


def find_average_comparisons(reading: Reading, resolver: Resolver) -> list[NestedComparison]:
    found = []
    for position, word in enumerate(reading.words):
        if word in _FUNCTIONS and position not in reading.used:
            nested = _with_average(reading, resolver, position) or _of_groups(reading, resolver, position)
            if nested is not None:
                found.append(nested)
    return found


def _with_average(reading: Reading, resolver: Resolver, position: int) -> NestedComparison | None:
    """`more than the average salary`."""
    start = position - 1 if reading.word(position - 1) in ("the", "their", "its") else position
    before = comparison_before(reading, start)
    if before is None:
        return None
    operator, begin = before
    mention = reading.next_mention(position + 1, word_set("of all the number"), reach=4)
    ref = measured_column(resolver, mention) if mention is not None and mention.kind == "column" else None
    last = mention.last if mention is not None and ref is not None else position + 1
    left = reading.previous_mention(begin, _LEFT, kinds=("column",), reach=5)
    if ref is None and left is not None:
        ref = measured_column(resolver, left)
    if left is not None and ref is not None and measured_column(resolver, left) == ref:
        reading.use(left)
    if ref is None:
        ref = _by_verb(reading, resolver, begin)
    if ref is None:
        return None
    reading.explain(range(begin - 1, last))
    reading.used.update(range(begin, last))
    return NestedComparison(ref, operator, _FUNCTIONS[reading.word(position)])


def _by_verb(reading: Reading, resolver: Resolver, begin: int) -> ColumnRef | None:
    for here in range(begin, max(-1, begin - 4), -1):
        names = VERB_MEASURES.get(reading.word(here))
        found = column_called(resolver, resolver.focus, names) if names and resolver.focus else None
        if found is not None and resolver.focus:
            return ColumnRef(resolver.focus, found.name)
    return None


def _of_groups(reading: Reading, resolver: Resolver, position: int) -> NestedComparison | None:
    """`average salary above 8000`: a condition on each group."""
    if reading.word(position) in ("maximum", "minimum", "highest", "lowest"):
        return None
    mention = reading.next_mention(position + 1, word_set("of the"), kinds=("column",), reach=3)
    ref = measured_column(resolver, mention) if mention is not None else None
    if mention is None or ref is None:
        return None
    for here in range(mention.last, min(mention.last + 6, len(reading.tokens))):
        number = number_of(reading.tokens[here])
        if number is None:
            continue
        compared = comparison_before(reading, here)
        after = comparison_after(reading, here + 1)
        if compared is None and after is None:
            return None
        operator = compared[0] if compared else after[0] if after else "="
        last = after[1] if after else here + 1
        reading.explain(range(position, last))
        reading.used.update(range(position, last))
        return NestedComparison(ref, operator, _FUNCTIONS[reading.word(position)], number)
    return None
