"""Parts of a question that a follow-up may exchange: times, numbers, superlatives, names."""

import re
from typing import NamedTuple

from workers.router.conversation.sentence import (
    AUXILIARIES,
    IMPERATIVES,
    PREPOSITIONS,
    QUESTION_WORDS,
    Word,
    words_of,
)

_MONTH = (
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?"
)
_DAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun|week|work|holi)days?|(?:the )?weekends?)"
_YEAR = r"(?:18|19|20|21)\d\d"
_UNIT = (
    r"(?:years?|quarters?|months?|weeks?|weekends?|days?|hours?|decades?|centur(?:y|ies)"
    r"|summer|winter|spring|autumn|fall)"
)
_RELATIVE = (
    rf"(?:the )?(?:last|past|previous|next|this|current|coming|following|preceding) (?:\d+ |two |three "
    rf"|six |few )?"
    rf"(?:{_UNIT}|{_DAY}|{_MONTH})|yesterday|today|tomorrow|the (?:year|month|week|quarter|day) before"
    rf"|(?:a|one|two|three|\d+) {_UNIT} ago|year to date|so far|(?:the )?(?:18|19|20)\d0s|(?:the )?last night"
)
_ABSOLUTE = (
    rf"\d{{4}}-\d\d?(?:-\d\d?)?|\d\d?[/.]\d\d?[/.]\d{{2,4}}"
    rf"|(?:\d\d?(?:st|nd|rd|th)? (?:of )?)?{_MONTH}(?: \d\d?(?:st|nd|rd|th)?(?!\d))?(?:,? (?:of )?{_YEAR})?"
    rf"|(?:q[1-4]|(?:the )?(?:first|second|third|fourth|last) (?:quarter|half))(?: (?:of )?{_YEAR})?"
    rf"|{_YEAR}|{_DAY}"
)
_POINT = rf"(?:{_RELATIVE}|{_ABSOLUTE})"
TIME = re.compile(
    rf"\b(?:(?P<prep>in|on|during|since|before|after|until|till|from|of|for|by|at|within|over|as of) )?"
    rf"(?P<point>(?:(?:the )?(?:year|month|week|quarter) )?{_POINT}(?: (?:and|to|until|through|-) {_POINT})?"
    rf"|(?<=between ){_POINT} and {_POINT})(?!\w)",
    re.IGNORECASE,
)
_NEEDS_NO_PREPOSITION = re.compile(rf"(?:{_RELATIVE})\Z", re.IGNORECASE)
_MONTH_ONLY = re.compile(rf"{_MONTH}\Z", re.IGNORECASE)
_YEAR_ONLY = re.compile(rf"{_YEAR}\Z")
_WITH_YEAR = re.compile(
    rf"(?P<head>.*(?:{_MONTH}|q[1-4]|quarter|half)(?: of|,)?) (?P<year>{_YEAR})\Z", re.IGNORECASE
)
SUPERLATIVE = re.compile(
    r"\b(?:(?:most|least) (?!of\b|recent\b)(?!\w*[^us\W]s\b)\w+|most recent|highest|lowest|largest"
    r"|smallest|biggest|greatest|cheapest"
    r"|oldest|newest|youngest|latest|earliest|longest|shortest|fastest|slowest|best|worst|heaviest"
    r"|lightest|tallest"
    r"|deepest|busiest|richest|poorest|strongest|weakest|warmest|coldest|average|mean|median|maximum"
    r"|minimum|total"
    r"|fewest|most|least)\b",
    re.IGNORECASE,
)
NUMBER = re.compile(r"(?<![\w.-])[$\u20ac\u00a3]?\d[\d,]*(?:\.\d+)?(?:%|k\b)?(?![\w-])")
COMPARISON = re.compile(
    r"\b(?:more than|less than|fewer than|greater than|at least|at most|over|above|under|below|up to|exactly"
    r"|(?:higher|lower|older|younger|larger|smaller|cheaper|longer|shorter) than)"
    r" (?P<number>[$\u20ac\u00a3]?\d[\d,]*(?:\.\d+)?%?)",
    re.IGNORECASE,
)
GROUPING = re.compile(
    r"\b(?:per|by|for each|for every|grouped by|broken down by|split by) (?:the )?"
    r"(?P<what>[\w-]+(?: (?!(?:for|in|from|since|of|on|at|with|between|during|over|and|after|before"
    r"|to)\b)[\w-]+){0,2})",
    re.IGNORECASE,
)


class Span(NamedTuple):
    """A part of a text; `core` is where its preposition is over."""

    start: int
    core: int
    end: int


def times(text: str) -> list[Span]:
    """Dates, months, years and relative times, each with its preposition."""
    return [
        Span(found.start(), found.start("point"), found.end())
        for found in TIME.finditer(text)
        if _is_time(found)
    ]


def _is_time(found: re.Match[str]) -> bool:
    """`may` is a month where a preposition or a capital says so, `mar` and the like never alone in a word."""
    point = found["point"]
    if point.lower() not in ("may", "march", "sun", "mar", "dec", "fall", "spring"):
        return True
    return found["prep"] is not None or point[0].isupper()


def with_time(text: str, new: str) -> str:
    """`text` with the time `new` in the place of its own, or behind it."""
    own = times(text)
    fresh = times(new)[0]
    point = new[fresh.core : fresh.end]
    preposition = new[fresh.start : fresh.core]
    if not own:
        return f"{text} {preposition or _preposition_for(point)}{point}"
    old = own[-1]
    before = text[old.core : old.end]
    kept = text[old.start : old.core]
    merged = _merged(before, point)
    if preposition and merged == point:
        kept = preposition
    elif _NEEDS_NO_PREPOSITION.match(point) and merged == point:
        kept = kept if kept.strip().lower() in ("since", "before", "after", "until", "from", "of") else ""
    elif not kept:
        kept = _preposition_for(merged)
    return f"{text[: old.start]}{kept}{merged}{text[old.end :]}"


def _merged(old: str, new: str) -> str:
    """A month alone keeps the year that was named, a year alone the month."""
    dated = _WITH_YEAR.match(old)
    if _MONTH_ONLY.match(new) and dated:
        return f"{new} {dated['year']}"
    if _MONTH_ONLY.match(new) and _YEAR_ONLY.match(old):
        return f"{new} {old}"
    if _YEAR_ONLY.match(new) and dated:
        return f"{dated['head']} {new}"
    if _YEAR_ONLY.match(new) and _MONTH_ONLY.match(old):
        return f"{old} {new}"
    return new


def _preposition_for(point: str) -> str:
    if _NEEDS_NO_PREPOSITION.match(point):
        return ""
    return "on " if re.match(rf"\d{{4}}-\d\d?-\d|{_DAY}|\d\d?[/.]", point, re.IGNORECASE) else "in "


def whole(spans: list[Span], text: str) -> bool:
    """Whether one span is all of a text."""
    return len(spans) == 1 and not text[: spans[0].start].strip(" ,") and not text[spans[0].end :].strip(" ,")


def names(text: str) -> list[Span]:
    """Quoted strings and words with a capital that do not begin the sentence; neighbours are one name."""
    found = [
        Span(m.start(), m.start(), m.end()) for m in re.finditer(r"[\"\u201c][^\"\u201d]+[\"\u201d]", text)
    ]
    run: list[Word] = []
    for position, word in enumerate([*words_of(text), None]):
        if word is not None and _is_name(word, position) and (not run or _adjacent(text, run[-1], word)):
            run.append(word)
            continue
        if run:
            found.append(Span(run[0].start, run[0].start, run[-1].end))
        run = [word] if word is not None and _is_name(word, position) else []
    return _joined(text, sorted(span for span in found if not TIME.fullmatch(text[span.start : span.end])))


def _joined(text: str, found: list[Span]) -> list[Span]:
    """`University of Oslo` is one name."""
    joined: list[Span] = []
    for span in found:
        if joined and text[joined[-1].end : span.start] in (" of ", " of the "):
            joined[-1] = Span(joined[-1].start, joined[-1].start, span.end)
        else:
            joined.append(span)
    return joined


def _is_name(word: Word, position: int) -> bool:
    small = (
        word.plain in AUXILIARIES | QUESTION_WORDS | IMPERATIVES | PREPOSITIONS or word.plain in _NEVER_NAMES
    )
    if small and not (word.text.isupper() and len(word.text) > 1):
        return False
    return word.capital and (position > 0 or (word.text.isupper() and len(word.text) > 1))


_NEVER_NAMES = frozenset(["i", "im", "ive", "and", "or", "the", "a", "an"])


def _adjacent(text: str, before: Word, after: Word) -> bool:
    return text[before.end : after.start] == " "


def replaced(text: str, span: Span, new: str) -> str:
    return f"{text[: span.core]}{new}{text[span.end :]}"
