"""Conditions on text: values, quotations, names, patterns."""

from dataclasses import replace

from sqlglot import exp

from workers.catalogue.words import word_set
from workers.sql.comparisons import Operator, comparison_before, pattern_before
from workers.sql.condition import (
    CONNECTING_WORDS,
    NEGATIONS,
    Condition,
    CountCondition,
    column_ref,
    is_negated,
    list_before,
    text_literal,
)
from workers.sql.reading import Mention, Reading
from workers.sql.resolution import ColumnRef, Resolver


def capitals(reading: Reading, position: int) -> int | None:
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


def named_condition(reading: Reading, resolver: Resolver, position: int, end: int) -> Condition | None:
    naming = _display_of_near(reading, resolver, position - 1)
    if naming is None:
        return None
    value = text_literal(" ".join(token.text for token in reading.tokens[position:end]))
    return Condition(position - 1, end, naming[0], "=", (value,))


def is_pattern_text(reading: Reading, position: int, mention: Mention | None) -> bool:
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


def is_lone_letter(reading: Reading, position: int) -> bool:
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


def listed_letter(
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
        return replace(
            last, last=position + 1, values=(*last.values, text_literal(reading.tokens[position].text))
        )
    return None


def pattern_condition(
    reading: Reading, resolver: Resolver, position: int, pattern: tuple[Operator, int]
) -> Condition | None:
    operator, start = pattern
    values: list[exp.Expr] = [text_literal(reading.tokens[position].text)]
    end = position + 1
    while reading.word(end) == "or" and _is_capital(reading, end + 1):
        values.append(text_literal(reading.tokens[end + 1].text))
        end += 2
    ref, first, last = _beside(reading, resolver, start, end, text=True)
    if ref is None:
        return None
    negated = is_negated(reading, first, position)
    return Condition(min(first, start), max(last, end), ref, operator, tuple(values), negated)


def _beside(
    reading: Reading, resolver: Resolver, start: int, end: int, *, text: bool = False
) -> tuple[ColumnRef | None, int, int]:
    """The column named before a literal, else after it (`a in their names`),
    else that of the table before."""
    left = reading.previous_mention(
        start, CONNECTING_WORDS | NEGATIONS | word_set("does do did that which whose"), reach=6
    )
    if left is not None and left.kind in ("column", "name", "id") and left.first not in reading.used:
        ref = column_ref(resolver, left, before=True, text=text)
        if ref is not None:
            return ref, left.first, end
    right = reading.next_mention(end, word_set("in to the their its his her of a for"), reach=4)
    if right is not None and right.kind in ("column", "name", "id") and right.first not in reading.used:
        ref = column_ref(resolver, right, before=True, text=text)
        if ref is not None:
            return ref, start, right.last
    if left is not None and left.kind == "entity":
        naming = resolver.naming(resolver.entity_of(left))
        return naming[0], start, end
    return None, start, end


def text_condition(
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
            negated = is_negated(reading, first, position)
            return Condition(min(first, pattern[1]), last, ref, pattern[0], (text_literal(text),), negated)
    operator, start = comparison_before(reading, position) or ("=", position)
    named = _named_column(reading, resolver, start, end)
    continued = list_before(reading, position, earlier)
    if mention is None and named is None and continued is not None:
        return Condition(
            position, end, continued.ref, continued.operator, (text_literal(token.text),), continued.negated
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
        value: exp.Expr = text_literal(" ".join(t.text for t in reading.tokens[position:end]))
    else:
        ref, stored = found
        value = text_literal(stored)
        close = named is not None and _refers(resolver, named[0], ref)
        first, last = (named[1], named[2]) if named is not None and close else (start, end)
    if found is None and resolver.column(ref).kind not in ("text", "boolean", "other"):
        return None
    negated = operator == "<>" or is_negated(reading, first, position)
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
        if exact is not None:
            return exact
        # People name a column loosely: the title MK_MAN may be stored as the id of the job.
        near = [
            ColumnRef(t.entity, t.column or "") for t in mention.of("value") if t.entity == named[0].entity
        ]
        if near or named[3]:
            return resolver.value_of(mention, near) if near else None
    if continued is not None:
        listed = resolver.value_of(mention, [continued.ref])
        if listed is not None:
            return listed
    return resolver.value_of(mention)


def _named_column(
    reading: Reading, resolver: Resolver, start: int, end: int
) -> tuple[ColumnRef, int, int, bool] | None:
    """The column named beside a value; the last part: whether it is surely that one."""
    left = reading.previous_mention(start, CONNECTING_WORDS | NEGATIONS, reach=5)
    named = left is not None and left.kind in ("column", "name", "id") and not left.weak
    if left is not None and named and left.last - 1 not in reading.used:
        ref = column_ref(resolver, left, before=True)
        gap = [reading.word(here) for here in range(left.last, start)]
        if ref is not None and not {"of", "in", "by", "with"} & set(gap):
            return ref, left.first, end, not {"and", "or"} & set(gap)
        if ref is not None and gap == ["of"] and left.kind == "column":
            return ref, left.first, end, False
    right = reading.at(end)
    if right is not None and right.kind == "column" and right.first not in reading.used:
        ref = column_ref(resolver, right, before=True)
        if ref is not None and resolver.column(ref).kind == "text":
            return ref, start, right.last, False
    return None


def _display_of_near(
    reading: Reading, resolver: Resolver, start: int
) -> tuple[ColumnRef, int, int, bool] | None:
    left = reading.previous_mention(start, CONNECTING_WORDS | word_set("' \" ,"), reach=4, kinds=())
    right = reading.next_mention(start + 1, frozenset(), reach=1)
    for mention in (left, right):
        if mention is not None and mention.kind == "entity":
            ref = resolver.naming(resolver.entity_of(mention))[0]
            if resolver.column(ref).kind == "text":
                return ref, start, start + 1, False
    return None
