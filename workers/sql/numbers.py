"""Conditions on numbers: comparisons, ranges, how many rows belong to one."""

from sqlglot import exp

from workers.catalogue.linking import Target
from workers.catalogue.words import word_set
from workers.sql.comparisons import Operator, comparison_after, comparison_before
from workers.sql.condition import (
    CONNECTING_WORDS,
    NEGATIONS,
    Condition,
    CountCondition,
    is_negated,
    list_before,
    text_literal,
)
from workers.sql.dates import number_of
from workers.sql.measures import VERB_MEASURES, column_called
from workers.sql.reading import Mention, Reading
from workers.sql.resolution import ColumnRef, Resolver

_RECORD_WORDS = word_set("records record times time entries entry rows row occurrences")


def number_condition(
    reading: Reading, resolver: Resolver, position: int, earlier: list[Condition | CountCondition]
) -> Condition | CountCondition | None:
    token = reading.tokens[position]
    number = number_of(token)
    if number is None:
        return None
    ranged = _range(reading, resolver, position)
    if ranged is not None:
        return ranged
    before, after = comparison_before(reading, position), comparison_after(reading, position + 1)
    operator, start = before or ("=", position)
    end = position + 1
    if after is not None:
        operator, end = after
    counted = _counted_after(reading, resolver, end)
    compared = before is not None or after is not None
    following = reading.at(position + 1)
    if not compared and following is not None and following.kind == "entity":
        # A number of rows, not a value: the 5 staff members with the most complaints.
        return None if not _has_before(reading, start) else _count_condition(operator, start, counted, number)
    left = _number_column(reading, resolver, start, before is not None)
    if left is not None and before is None and (early := comparison_before(reading, left[1])) is not None:
        # The comparison stands before the column: above age 20.
        operator, compared = early[0], True
        left = (left[0], early[1], left[2])
    if (
        counted is not None
        and (left is None or _is_key(resolver, left[0]))
        and (compared or _has_before(reading, start))
    ):
        return CountCondition(start, counted[1], operator, number, counted[0])
    if token.kind == "word" and not compared:
        return None
    continued = list_before(reading, position, earlier)
    if left is None and continued is not None and not compared:
        return Condition(
            position,
            end,
            continued.ref,
            continued.operator,
            (_value_for(resolver, continued.ref, token.text, number),),
        )
    if left is None:
        left = _implied_number_column(reading, resolver, start, end, compared=compared)
    if left is None:
        return None
    ref, first, last = left
    negated = is_negated(reading, first, start)
    value = _value_for(resolver, ref, token.text, number)
    return Condition(min(first, start), max(last, end), ref, operator, (value,), negated)


def _count_condition(
    operator: Operator, start: int, counted: tuple[str | None, int] | None, number: float
) -> CountCondition | None:
    return CountCondition(start, counted[1], operator, number, counted[0]) if counted else None


def _is_key(resolver: Resolver, ref: ColumnRef) -> bool:
    return resolver.column(ref).role == "id"


def _value_for(resolver: Resolver, ref: ColumnRef, text: str, number: float) -> exp.Expr:
    """A number as the column has it: a postal code is text, a number of rows is not."""
    if resolver.column(ref).kind == "text":
        return text_literal(text)
    return exp.Literal.number(repr(number))


def _range(reading: Reading, resolver: Resolver, position: int) -> Condition | None:
    """`between 8000 and 12000`, `in the range of 8000 and 12000`, `from 10 to 20`."""
    other = position + 2
    if other >= len(reading.tokens) or reading.word(position + 1) not in ("and", "to", "-"):
        return None
    low, high = number_of(reading.tokens[position]), number_of(reading.tokens[other])
    start = position - 1
    while start >= 0 and reading.word(start) in (
        "the",
        "range",
        "of",
        "in",
        "within",
        "from",
        "between",
        "ranging",
    ):
        start -= 1
    lead = {reading.word(here) for here in range(start + 1, position)}
    if low is None or high is None or not lead & {"between", "range", "from", "within"}:
        return None
    left = _number_column(reading, resolver, start + 1, compared=True)
    if left is None:
        left = _implied_number_column(reading, resolver, start + 1, other + 1, compared=True)
    if left is None:
        return None
    values = (exp.Literal.number(repr(low)), exp.Literal.number(repr(high)))
    return Condition(left[1], other + 1, left[0], ">=", values)


def _counted_after(reading: Reading, resolver: Resolver, end: int) -> tuple[str | None, int] | None:
    """The table whose rows a number counts: `3 albums`, `20 customers`, `3 records`."""
    for here in range(end, min(end + 3, len(reading.words))):
        mention = reading.at(here)
        if mention is not None and mention.kind == "entity":
            return resolver.entity_of(mention), mention.last
        if mention is not None and mention.kind == "column":
            return None
        if reading.word(here) in _RECORD_WORDS:
            return None, here + 1
        if reading.tokens[here].kind != "word":
            return None
    return None


def _has_before(reading: Reading, start: int) -> bool:
    return reading.word(start - 1) in (
        "have",
        "has",
        "had",
        "with",
        "having",
        "exactly",
        "contain",
        "contains",
        "only",
    )


def _number_column(
    reading: Reading, resolver: Resolver, start: int, compared: bool
) -> tuple[ColumnRef, int, int] | None:
    bridge = CONNECTING_WORDS | NEGATIONS | word_set("that which whose within $ earning costing")
    left = reading.previous_mention(start, bridge, reach=5)
    if left is None or left.kind not in ("column", "name", "id") or left.last - 1 in reading.used:
        return None
    if left.weak and left.kind == "column" and not compared:
        return None
    refs = resolver.columns_of(left, before=True)
    usable = [
        ref
        for ref in refs
        if resolver.column(ref).kind == "number"
        or (resolver.column(ref).kind == "text" and not compared)
        or _is_year(resolver, ref)
    ]
    if not usable:
        targets = [t for t in left.of("column") if _is_number(resolver, t)]
        ref = resolver.column_of(targets, resolver.owners(left, before=True)) if targets else None
        usable = [ref] if ref else []
    return (usable[0], left.first, start) if usable else None


def _is_year(resolver: Resolver, ref: ColumnRef) -> bool:
    """Years of four digits compare as text as they do as numbers."""
    column = resolver.column(ref)
    return column.kind == "text" and "year" in column.name.lower()


def _is_number(resolver: Resolver, target: Target) -> bool:
    return resolver.column(ColumnRef(target.entity, target.column or "")).kind == "number"


def _implied_number_column(
    reading: Reading, resolver: Resolver, start: int, end: int, *, compared: bool
) -> tuple[ColumnRef, int, int] | None:
    """The column of `earn more than 6000`, `department 80`, `8000 salary`."""
    right = reading.next_mention(end, word_set("in of"), reach=2)
    if right is not None and right.kind == "column" and compared and right.first not in reading.used:
        targets = [t for t in right.of("column") if _is_number(resolver, t)]
        ref = resolver.column_of(targets, resolver.owners(right)) if targets else None
        if ref is not None:
            return ref, start, right.last
    if compared:
        near = [
            resolver.entity_of(m)
            for m in reversed(reading.mentions)
            if m.kind == "entity" and m.last <= start
        ]
        for here in range(start, max(-1, start - 5), -1):
            names = VERB_MEASURES.get(reading.word(here))
            for key in dict.fromkeys((*near[:1], resolver.focus, *resolver.mentioned())) if names else ():
                column = column_called(resolver, key, names or ()) if key else None
                if column is not None and key:
                    return ColumnRef(key, column.name), here, end
    left = reading.previous_mention(start, word_set("number no # id is either in of with the"), reach=3)
    if left is not None and left.kind == "entity" and not compared:
        return _key_of(resolver, resolver.entity_of(left), left, end)
    return None


def _key_of(resolver: Resolver, key: str, mention: Mention, end: int) -> tuple[ColumnRef, int, int] | None:
    """`department 80` is asked of the column that the focus itself has, else of the table's key."""
    primary = resolver.entity(key).primary_key
    if len(primary) != 1 or resolver.column(ColumnRef(key, primary[0])).kind != "number":
        return None
    return ColumnRef(key, primary[0]), mention.first, end
