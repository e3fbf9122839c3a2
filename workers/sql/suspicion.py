"""Signs that a statement does not give what was asked for, although each word found a place."""

from typing import TYPE_CHECKING

from workers.catalogue.words import word_set

if TYPE_CHECKING:
    from workers.sql.question import Question

_MANY = word_set("many much")
_MISSING = word_set("without no not zero")


def suspicions(question: "Question") -> int:
    """How many signs there are; one is enough to say that the answer is uncertain."""
    return sum(
        sign(question)
        for sign in (_asks_number, _counts_one_thing, _keeps_empty, _compares_with_any, _asks_when)
    )


def _asks_number(question: "Question") -> bool:
    """`how many people live in ...` is a number, whatever else is shown."""
    words = question.reading.words
    numbers = [at for at, word in enumerate(words[1:], start=1) if word in _MANY and words[at - 1] == "how"]
    if not numbers or question.count_conditions:
        return False
    counted = [*question.measures(), *(item.measure for item in question.superlatives if item.measure)]
    sorting = [order for order in question.orders if order.measure is not None]
    numeric = [ref for ref in question.shown if question.resolver.column(ref).kind == "number"]
    return not (counted or sorting or numeric)


def _counts_one_thing(question: "Question") -> bool:
    """`how many X ...` asks for one number: a column beside it, without groups, is a word misread."""
    words = question.reading.words
    if words[:2] != ["how", "many"] or question.groups or question.superlatives:
        return False
    clauses = {".", "?", ";", ","} & set(words[:-1])
    each = {"each", "every", "per", "by", "and", "different"} & set(words)
    return bool(question.shown and question.measures()) and not clauses and not each


def _keeps_empty(question: "Question") -> bool:
    """`including stations without bikes`: rows with a count of zero, which a join leaves out."""
    words = question.reading.words
    spans = (
        words[at + 1 : at + 6] for at, word in enumerate(words) if word in ("including", "even", "include")
    )
    return any(_MISSING & set(span) for span in spans)


def _compares_with_any(question: "Question") -> bool:
    """`more than any`: some people mean more than one of them, some more than all."""
    words = question.reading.words
    than = (at for at, word in enumerate(words) if word == "than")
    return any("any" in words[at + 1 : at + 4] for at in than)


def _asks_when(question: "Question") -> bool:
    if question.reading.words[0] != "when":
        return False
    refs = [*question.shown, *(item.ref for item in question.measures() if item.ref)]
    columns = [question.resolver.column(ref) for ref in refs]
    return not any(
        column.kind in ("date", "timestamp", "time") or "year" in column.name.lower() for column in columns
    )
