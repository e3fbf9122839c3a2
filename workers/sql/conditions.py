"""What the rows must fulfil: values, numbers, patterns and times in a question, each with its column."""

from workers.sql.comparisons import pattern_before
from workers.sql.condition import Condition, CountCondition
from workers.sql.dates import find_moments, number_of
from workers.sql.numbers import number_condition
from workers.sql.reading import Reading
from workers.sql.resolution import Resolver
from workers.sql.texts import (
    capitals,
    is_lone_letter,
    is_pattern_text,
    listed_letter,
    named_condition,
    pattern_condition,
    text_condition,
)
from workers.sql.times import time_condition


def find_conditions(reading: Reading, resolver: Resolver) -> list[Condition | CountCondition]:
    found: list[Condition | CountCondition] = []
    moments = {moment.first: moment for moment in find_moments(reading.tokens)}
    covered = {here for moment in moments.values() for here in range(moment.first, moment.last)}
    position = 0
    while position < len(reading.tokens):
        condition: Condition | CountCondition | None = None
        if position in moments:
            condition = time_condition(reading, resolver, moments, position)
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
        return text_condition(reading, resolver, position, mention, earlier)
    if token.kind == "quoted":
        return text_condition(reading, resolver, position, None, earlier)
    named = capitals(reading, position)
    if named is not None:
        return named_condition(reading, resolver, position, named)
    if number_of(token) is not None and (mention is None or mention.first == position):
        return number_condition(reading, resolver, position, earlier)
    pattern = pattern_before(reading, position)
    if pattern is None and is_lone_letter(reading, position):
        return pattern_condition(reading, resolver, position, ("contains", position))
    if pattern is not None and token.kind == "word" and is_pattern_text(reading, position, mention):
        return pattern_condition(reading, resolver, position, pattern)
    return listed_letter(reading, position, earlier)
