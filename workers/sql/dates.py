"""Points and periods of time in a question, as bounds that PostgreSQL computes."""

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from workers.catalogue.tokens import Token

Unit = Literal["day", "week", "month", "quarter", "year", "hour"]

MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
MONTHS |= {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name} | {"sept": 9}
UNITS: dict[str, Unit] = {
    "day": "day", "days": "day", "week": "week", "weeks": "week", "month": "month", "months": "month",
    "quarter": "quarter", "quarters": "quarter", "year": "year", "years": "year", "hour": "hour",
    "hours": "hour",
}  # fmt: skip
_ADVERBS: dict[str, Unit] = {
    "daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter", "yearly": "year",
    "annually": "year", "annual": "year", "hourly": "hour",
}  # fmt: skip
_ORDINAL_QUARTERS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "last": 4,
    "1st": 1,
    "2nd": 2,
    "3rd": 3,
}
_NUMBERS = {
    name: number
    for number, name in enumerate(
        (
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        )
    )
}
_DAY = re.compile(r"^(\d{1,2})(?:st|nd|rd|th)?$")


@dataclass(frozen=True)
class Moment:
    """Tokens `first` to `last` (exclusive) name a time: SQL expressions, `end` not included; None is open."""

    first: int
    last: int
    start: str | None
    end: str | None
    point: bool = False
    """A single day, which a comparison may use: after 2023-06-01."""


def find_moments(tokens: Sequence[Token]) -> list[Moment]:
    """All points and periods, from left to right, the longest reading at each place."""
    found: list[Moment] = []
    position = 0
    while position < len(tokens):
        moment = next((m for m in (read(tokens, position) for read in _READERS) if m is not None), None)
        if moment is None:
            position += 1
        else:
            found.append(moment)
            position = moment.last
    return found


def number_of(token: Token) -> float | int | None:
    """A number in digits or as a word up to twelve."""
    return token.number if token.kind == "number" else _NUMBERS.get(token.lower)


def bucket_of(word: str) -> Unit | None:
    """The unit of `monthly`, or of `month` after `per`."""
    return _ADVERBS.get(word) or UNITS.get(word)


def _word(tokens: Sequence[Token], position: int) -> str:
    return tokens[position].lower if 0 <= position < len(tokens) else ""


def _span(first: int, last: int, start: date, days_end: date, *, point: bool = False) -> Moment:
    return Moment(first, last, f"DATE '{start.isoformat()}'", f"DATE '{days_end.isoformat()}'", point)


def _day(first: int, last: int, day: date) -> Moment:
    return _span(first, last, day, day + timedelta(days=1), point=True)


def _iso(tokens: Sequence[Token], at: int) -> Moment | None:
    if tokens[at].kind != "date":
        return None
    parts = [int(part) for part in re.split(r"[-/]", tokens[at].text)]
    year, month, day = parts if parts[0] > 31 else (parts[2], parts[0], parts[1])
    return _safe_day(at, at + 1, year, month, day)


def _safe_day(first: int, last: int, year: int, month: int, day: int) -> Moment | None:
    try:
        return _day(first, last, date(year, month, day))
    except ValueError:
        return None


def _written(tokens: Sequence[Token], at: int) -> Moment | None:
    """`June 21, 2002`, `7th September, 1987`, `21 June 2002`, `June 2002`."""
    words = [(position, tokens[position]) for position in range(at, min(at + 6, len(tokens)))]
    parts = [(position, token) for position, token in words if token.text not in (",", "of", "the")][:3]
    lowers = [token.lower for _, token in parts]
    if not lowers or tokens[at].text in (",", "of", "the"):
        return None
    if lowers[0] in MONTHS and len(lowers) > 1:
        if len(lowers) == 3 and _is_day(lowers[1]) and _is_year(lowers[2]):
            return _safe_day(at, parts[2][0] + 1, int(lowers[2]), MONTHS[lowers[0]], _is_day(lowers[1]))
        if _is_year(lowers[1]):
            return _month(at, parts[1][0] + 1, int(lowers[1]), MONTHS[lowers[0]])
    if len(lowers) == 3 and _is_day(lowers[0]) and lowers[1] in MONTHS and _is_year(lowers[2]):
        return _safe_day(at, parts[2][0] + 1, int(lowers[2]), MONTHS[lowers[1]], _is_day(lowers[0]))
    return None


def _is_day(word: str) -> int:
    match = _DAY.match(word)
    return int(match.group(1)) if match and 1 <= int(match.group(1)) <= 31 else 0


def _is_year(word: str) -> bool:
    return len(word) == 4 and word.isdigit() and 1800 <= int(word) <= 2200


def _month(first: int, last: int, year: int, month: int) -> Moment:
    following = date(year + month // 12, month % 12 + 1, 1)
    return _span(first, last, date(year, month, 1), following)


def _quarter(tokens: Sequence[Token], at: int) -> Moment | None:
    """`first quarter of 2023`, `Q1 2023`."""
    word = _word(tokens, at)
    if re.fullmatch(r"q[1-4]", word):
        number, after = int(word[1]), at + 1
    elif word in _ORDINAL_QUARTERS and _word(tokens, at + 1) == "quarter":
        number, after = _ORDINAL_QUARTERS[word], at + 2
    else:
        return None
    while _word(tokens, after) in ("of", "in", "the"):
        after += 1
    if not _is_year(_word(tokens, after)):
        return None
    year, month = int(_word(tokens, after)), 3 * number - 2
    end = date(year + (month + 3) // 13, (month + 2) % 12 + 1, 1)
    return _span(at, after + 1, date(year, month, 1), end)


def _year(tokens: Sequence[Token], at: int) -> Moment | None:
    """`in 2024`, `in the year 2024`, `during 2024`, `of 2024`; a bare number is not a year."""
    word = _word(tokens, at)
    if not _is_year(word) or tokens[at].kind != "number":
        return None
    before = _word(tokens, at - 1)
    if before == "year":
        return None if _word(tokens, at - 2) in ("model",) else _years(at, int(word))
    return (
        _years(at, int(word))
        if before in ("in", "during", "of", "since", "before", "after", "from")
        else None
    )


def _years(at: int, year: int) -> Moment:
    return _span(at, at + 1, date(year, 1, 1), date(year + 1, 1, 1))


def _relative(tokens: Sequence[Token], at: int) -> Moment | None:
    """`last month`, `last 30 days`, `past week`, `previous quarter`, `this year`."""
    word = _word(tokens, at)
    if word not in ("last", "past", "previous", "this", "current", "preceding"):
        return None
    amount = number_of(tokens[at + 1]) if at + 1 < len(tokens) else None
    unit_at = at + (1 if amount is None else 2)
    unit = UNITS.get(_word(tokens, unit_at))
    if unit is None:
        return None
    if word in ("this", "current"):
        return Moment(at, unit_at + 1, _truncated(unit), f"{_truncated(unit)} + {_interval(1, unit)}")
    if amount is None:
        if word == "past":
            return Moment(at, unit_at + 1, _ago(1, unit), None)
        return Moment(at, unit_at + 1, f"{_truncated(unit)} - {_interval(1, unit)}", _truncated(unit))
    return _last_n(tokens, at, unit_at, int(amount), unit)


def _last_n(tokens: Sequence[Token], at: int, unit_at: int, amount: int, unit: Unit) -> Moment:
    """Rolling up to today; whole units when the question leaves the current one out."""
    rest = " ".join(token.lower for token in tokens[unit_at + 1 : unit_at + 8])
    if re.search(rf"(?:excluding|not including|before|except) (?:the )?(?:current|this) {unit}", rest):
        start = f"{_truncated(unit)} - {_interval(amount, unit)}"
        skipped = next(p for p in range(unit_at + 1, len(tokens)) if tokens[p].lower == unit)
        return Moment(at, skipped + 1, start, _truncated(unit))
    return Moment(at, unit_at + 1, _ago(amount, unit), None)


def _today(tokens: Sequence[Token], at: int) -> Moment | None:
    word = _word(tokens, at)
    if word == "today":
        if _word(tokens, at - 1) in ("of", "including", "inclusive"):
            return None
        return Moment(at, at + 1, "CURRENT_DATE", "CURRENT_DATE + INTERVAL '1 day'", True)
    if word == "yesterday":
        return Moment(at, at + 1, "CURRENT_DATE - INTERVAL '1 day'", "CURRENT_DATE", True)
    return None


def _truncated(unit: Unit) -> str:
    return "CURRENT_DATE" if unit == "day" else f"DATE_TRUNC('{unit}', CURRENT_DATE)"


def _interval(amount: int, unit: Unit) -> str:
    """PostgreSQL has no quarters in intervals."""
    return f"INTERVAL '{3 * amount} month'" if unit == "quarter" else f"INTERVAL '{amount} {unit}'"


def _ago(amount: int, unit: Unit) -> str:
    return f"{'CURRENT_TIMESTAMP' if unit == 'hour' else 'CURRENT_DATE'} - {_interval(amount, unit)}"


_READERS = (_iso, _written, _quarter, _relative, _today, _year)
