"""What the rows must fulfil: values, numbers, patterns and times in a question, each with its column."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlglot import exp

from workers.catalogue.linking import Target
from workers.catalogue.model import Column
from workers.catalogue.words import word_set
from workers.sql.comparisons import Operator, comparison_after, comparison_before, pattern_before
from workers.sql.dates import Moment, find_moments, number_of
from workers.sql.measures import VERB_MEASURES, column_called
from workers.sql.reading import Mention, Reading
from workers.sql.resolution import ColumnRef, Resolver

_IS = word_set(
    """is are was were equals equal to of named called the in as a an : with ( by at than number code value
    like either or and has have having it its their be than id amount"""
)
_NEGATIONS = word_set(
    "not never no without except excluding n't isn't aren't wasn't doesn't don't didn't cannot"
)
_RECORD_WORDS = word_set("records record times time entries entry rows row occurrences")
_UNITS = word_set("dollars dollar euros usd eur percent milliseconds seconds minutes days years kg km")


@dataclass(frozen=True)
class Condition:
    """`refs` are one column, or several of which each part of a name goes to one."""

    first: int
    last: int
    ref: ColumnRef
    operator: Operator
    values: tuple[exp.Expr, ...]
    negated: bool = False
    moment: Moment | None = None


@dataclass(frozen=True)
class CountCondition:
    """`at least 3 albums`: of the rows of `entity` that belong to one of what is asked for; None: of its
    own."""

    first: int
    last: int
    operator: Operator
    number: float
    entity: str | None


def find_conditions(reading: Reading, resolver: Resolver) -> list[Condition | CountCondition]:
    found: list[Condition | CountCondition] = []
    moments = {moment.first: moment for moment in find_moments(reading.tokens)}
    covered = {here for moment in moments.values() for here in range(moment.first, moment.last)}
    position = 0
    while position < len(reading.tokens):
        condition: Condition | CountCondition | None = None
        if position in moments:
            condition = _time_condition(reading, resolver, moments, position)
            if condition is None and reading.tokens[position].kind == "number":
                condition = _literal_condition(reading, resolver, position, found)
        elif position not in covered and position not in reading.used:
            condition = _literal_condition(reading, resolver, position, found)
        if condition is None:
            position += 1
            continue
        reading.explain(range(condition.first, condition.last))
        reading.used.update(range(condition.first, condition.last))
        found.append(condition)
        position = max(position + 1, condition.last)
    return found


def _literal_condition(
    reading: Reading, resolver: Resolver, position: int, earlier: list[Condition | CountCondition]
) -> Condition | CountCondition | None:
    token = reading.tokens[position]
    mention = reading.at(position)
    if mention is not None and mention.kind == "value":
        return _text_condition(reading, resolver, position, mention, earlier)
    if token.kind == "quoted":
        return _text_condition(reading, resolver, position, None, earlier)
    named = _capitals(reading, position)
    if named is not None:
        return _named_condition(reading, resolver, position, named)
    if number_of(token) is not None and (mention is None or mention.first == position):
        return _number_condition(reading, resolver, position, earlier)
    pattern = pattern_before(reading, position)
    if pattern is None and _is_lone_letter(reading, position):
        return _pattern_condition(reading, resolver, position, ("contains", position))
    if pattern is not None and token.kind == "word" and _is_pattern_text(reading, position, mention):
        return _pattern_condition(reading, resolver, position, pattern)
    return _listed_letter(reading, position, earlier)


def _capitals(reading: Reading, position: int) -> int | None:
    """End of the capitalised words after `named` or `called`: a name that need not be known."""
    if reading.word(position - 1) not in ("named", "called", "titled"):
        return None
    end = position
    while (
        end < len(reading.tokens)
        and reading.tokens[end].kind == "word"
        and reading.tokens[end].text[0].isupper()
    ):
        end += 1
    return end if end > position else None


def _named_condition(reading: Reading, resolver: Resolver, position: int, end: int) -> Condition | None:
    naming = _display_of_near(reading, resolver, position - 1)
    if naming is None:
        return None
    value = _text(" ".join(token.text for token in reading.tokens[position:end]))
    return Condition(position - 1, end, naming[0], "=", (value,))


def _is_pattern_text(reading: Reading, position: int, mention: Mention | None) -> bool:
    word = reading.word(position)
    if word in (
        "the",
        "letter",
        "letters",
        "word",
        "substring",
        "phrase",
        "a",
        "an",
        "string",
        "in",
        "with",
        "both",
    ):
        return len(word) == 1 and reading.word(position - 1) in ("letter", "letters")
    if (
        mention is not None
        and mention.kind != "value"
        and reading.word(position - 1) not in ("letter", "word")
    ):
        return False
    return len(word) == 1 or reading.word(position - 1) in (
        "letter",
        "letters",
        "word",
        "substring",
        "phrase",
        "with",
    )


def _is_lone_letter(reading: Reading, position: int) -> bool:
    """The D of `employees with D or S in their first name`."""
    here = position
    while _is_capital(reading, here) and reading.word(here + 1) == "or":
        here += 2
    if not _is_capital(reading, here):
        return False
    owned = reading.word(here + 2) in ("their", "its", "the", "his", "her")
    return reading.word(here + 1) == "in" and owned


def _is_capital(reading: Reading, position: int) -> bool:
    if position >= len(reading.tokens):
        return False
    text = reading.tokens[position].text
    return len(text) == 1 and text.isalpha() and text.isupper()


def _listed_letter(
    reading: Reading, position: int, earlier: list[Condition | CountCondition]
) -> Condition | None:
    """The S of `the letters D or S`."""
    last = earlier[-1] if earlier else None
    if (
        isinstance(last, Condition)
        and last.operator in ("contains", "starts", "ends")
        and len(reading.word(position)) == 1
        and reading.tokens[position].text.isupper()
        and reading.word(position - 1) == "or"
    ):
        earlier.pop()
        return replace(last, last=position + 1, values=(*last.values, _text(reading.tokens[position].text)))
    return None


def _pattern_condition(
    reading: Reading, resolver: Resolver, position: int, pattern: tuple[Operator, int]
) -> Condition | None:
    operator, start = pattern
    values: list[exp.Expr] = [_text(reading.tokens[position].text)]
    end = position + 1
    while reading.word(end) == "or" and _is_capital(reading, end + 1):
        values.append(_text(reading.tokens[end + 1].text))
        end += 2
    ref, first, last = _beside(reading, resolver, start, end, text=True)
    if ref is None:
        return None
    negated = _is_negated(reading, first, position)
    return Condition(min(first, start), max(last, end), ref, operator, tuple(values), negated)


def _beside(
    reading: Reading, resolver: Resolver, start: int, end: int, *, text: bool = False
) -> tuple[ColumnRef | None, int, int]:
    """The column named before a literal, else after it (`a in their names`),
    else that of the table before."""
    left = reading.previous_mention(
        start, _IS | _NEGATIONS | word_set("does do did that which whose"), reach=6
    )
    if left is not None and left.kind in ("column", "name", "id") and left.first not in reading.used:
        ref = _column_ref(resolver, left, before=True, text=text)
        if ref is not None:
            return ref, left.first, end
    right = reading.next_mention(end, word_set("in to the their its his her of a for"), reach=4)
    if right is not None and right.kind in ("column", "name", "id") and right.first not in reading.used:
        ref = _column_ref(resolver, right, before=True, text=text)
        if ref is not None:
            return ref, start, right.last
    if left is not None and left.kind == "entity":
        naming = resolver.naming(resolver.entity_of(left))
        return naming[0], start, end
    return None, start, end


def _column_ref(
    resolver: Resolver, mention: Mention, *, before: bool, text: bool = False
) -> ColumnRef | None:
    refs = resolver.columns_of(mention, before=before)
    usable = [ref for ref in refs if not text or resolver.column(ref).kind == "text"]
    return usable[0] if usable else None


def _text_condition(
    reading: Reading,
    resolver: Resolver,
    position: int,
    mention: Mention | None,
    earlier: list[Condition | CountCondition],
) -> Condition | None:
    token = reading.tokens[position]
    end = mention.last if mention else position + 1
    pattern = pattern_before(reading, position)
    if pattern is None and token.kind == "quoted" and _is_part_of(reading, position):
        pattern = ("contains", position)
    if pattern is not None:
        text = " ".join(t.text for t in reading.tokens[position:end])
        ref, first, last = _beside(reading, resolver, pattern[1], end, text=True)
        if ref is not None:
            negated = _is_negated(reading, first, position)
            return Condition(min(first, pattern[1]), last, ref, pattern[0], (_text(text),), negated)
    operator, start = comparison_before(reading, position) or ("=", position)
    named = _named_column(reading, resolver, start, end)
    continued = _continued(reading, position, earlier)
    if mention is None and named is None and continued is not None:
        return Condition(
            position, end, continued.ref, continued.operator, (_text(token.text),), continued.negated
        )
    found = _valued(resolver, mention, named, continued) if mention is not None else None
    if found is None:
        if mention is not None and named is None:
            return None
        if named is None or named[3] is False:
            named = named or _display_of_near(reading, resolver, start)
        if named is None:
            return None
        ref, first, last, _ = named
        value: exp.Expr = _text(" ".join(t.text for t in reading.tokens[position:end]))
    else:
        ref, stored = found
        value = _text(stored)
        close = named is not None and _refers(resolver, named[0], ref)
        first, last = (named[1], named[2]) if named is not None and close else (start, end)
    if resolver.column(ref).kind not in ("text", "boolean", "other"):
        return None
    negated = operator == "<>" or _is_negated(reading, first, position)
    return Condition(first, last, ref, "=", (value,), negated)


def _refers(resolver: Resolver, one: ColumnRef, other: ColumnRef) -> bool:
    return one == other


def _is_part_of(reading: Reading, position: int) -> bool:
    """`have "a" in their names`."""
    return reading.word(position + 1) == "in" and reading.word(position + 2) in (
        "their",
        "its",
        "the",
        "his",
        "her",
    )


def _valued(
    resolver: Resolver,
    mention: Mention,
    named: tuple[ColumnRef, int, int, bool] | None,
    continued: Condition | None,
) -> tuple[ColumnRef, str] | None:
    if named is not None:
        same = [
            ColumnRef(t.entity, t.column or "") for t in mention.of("value") if t.column == named[0].column
        ]
        exact = resolver.value_of(mention, [named[0]]) or (resolver.value_of(mention, same) if same else None)
        if exact is not None or named[3]:
            return exact
    if continued is not None:
        listed = resolver.value_of(mention, [continued.ref])
        if listed is not None:
            return listed
    return resolver.value_of(mention)


def _named_column(
    reading: Reading, resolver: Resolver, start: int, end: int
) -> tuple[ColumnRef, int, int, bool] | None:
    """The column named beside a value; the last part: whether it is surely that one."""
    left = reading.previous_mention(start, _IS | _NEGATIONS, reach=5)
    named = left is not None and left.kind in ("column", "name", "id") and not left.weak
    if left is not None and named and left.last - 1 not in reading.used:
        ref = _column_ref(resolver, left, before=True)
        gap = [reading.word(here) for here in range(left.last, start)]
        if ref is not None and not {"of", "in", "by", "with"} & set(gap):
            return ref, left.first, end, not {"and", "or"} & set(gap)
        if ref is not None and gap == ["of"] and left.kind == "column":
            return ref, left.first, end, False
    right = reading.at(end)
    if right is not None and right.kind == "column" and right.first not in reading.used:
        ref = _column_ref(resolver, right, before=True)
        if ref is not None and resolver.column(ref).kind == "text":
            return ref, start, right.last, False
    return None


def _display_of_near(
    reading: Reading, resolver: Resolver, start: int
) -> tuple[ColumnRef, int, int, bool] | None:
    left = reading.previous_mention(start, _IS | word_set("' \" ,"), reach=4, kinds=())
    right = reading.next_mention(start + 1, frozenset(), reach=1)
    for mention in (left, right):
        if mention is not None and mention.kind == "entity":
            ref = resolver.naming(resolver.entity_of(mention))[0]
            if resolver.column(ref).kind == "text":
                return ref, start, start + 1, False
    return None


def _continued(
    reading: Reading, position: int, earlier: list[Condition | CountCondition]
) -> Condition | None:
    """The condition that a list goes on with: `Latin or Pop`, `70 or 90`."""
    last = earlier[-1] if earlier else None
    if not isinstance(last, Condition) or last.moment is not None:
        return None
    between = {reading.word(here) for here in range(last.last, position)}
    return last if between and between <= {"or", "and", ",", "either", "the", "nor"} else None


def _number_condition(
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
    continued = _continued(reading, position, earlier)
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
    negated = _is_negated(reading, first, start)
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
        return _text(text)
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
    bridge = _IS | _NEGATIONS | word_set("that which whose within $ earning costing")
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


def _time_condition(
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


def _is_negated(reading: Reading, first: int, position: int) -> bool:
    return any(reading.word(here) in _NEGATIONS for here in range(max(0, first - 1), position))


def _text(value: str) -> exp.Expr:
    return exp.Literal.string(value)
