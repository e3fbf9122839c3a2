"""Arrivals from a file: a time for each question, or a rate for each minute; CSV or JSON lines."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import numpy as np

from askfleet.simulation.demand import DAY_S, MINUTE_S, Floats, Rates, rates_of
from contracts.errors import Misconfigured

TIME, RATE = "at", "per_minute"
SHAPE = (
    f'Give CSV with a header, or JSON lines: a column "{TIME}" (seconds, or ISO 8601) with one line '
    f'a question, or "{RATE}" with one line a minute.'
)
MOST_DAYS = 31
MOST_AT_S = 1e11
"""In the year 5138; a time of now in milliseconds is later."""
MOST_PER_MINUTE = 1e9

Row = Mapping[str, object]


class BadTrace(Misconfigured):
    """Names the file, the line and the value."""

    code = "bad-trace"
    title = "The arrivals can't be read"

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}.", remedy=SHAPE)


@dataclass(frozen=True)
class Trace:
    """`at_s`: each arrival, where the file has them; `rates`: minute by minute, always."""

    rates: Rates
    at_s: Floats | None


def read_trace(path: Path) -> Trace:
    """Times count from the first one's minute, in whatever order they stand there. Raises BadTrace."""
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        raise BadTrace(str(path), "holds no arrivals")
    column = _column(*first)
    read = _per_s if column == RATE else _at_s
    values = np.array([read(_value(row, column, place), place) for place, row in chain((first,), rows)])
    if column == RATE:
        return Trace(_rates(values, path), None)
    return _times(values, path)


def _rates(per_s: Floats, path: Path) -> Rates:
    rates = Rates(per_s)
    _check_span(rates.seconds, path)
    if not per_s.any():
        raise BadTrace(str(path), "holds no arrivals: every rate is 0")
    return rates


def _times(values: Floats, path: Path) -> Trace:
    times = np.sort(values)
    times -= math.floor(times[0] / MINUTE_S) * MINUTE_S
    _check_span(float(times[-1]), path)
    seconds = (math.floor(times[-1] / MINUTE_S) + 1) * MINUTE_S
    return Trace(rates_of(times, seconds), times)


def _check_span(seconds: float, path: Path) -> None:
    if seconds > MOST_DAYS * DAY_S:
        days = f"{seconds / DAY_S:,.0f} days, more than {MOST_DAYS}"
        raise BadTrace(str(path), f"arrivals span {days}: are all in one unit?")


def _column(place: str, row: Row) -> str:
    found = [name for name in (TIME, RATE) if name in row]
    if len(found) != 1:
        raise BadTrace(place, f"needs either {TIME!r} or {RATE!r}, and has {', '.join(row) or 'nothing'}")
    return found[0]


def _value(row: Row, column: str, place: str) -> object:
    value = row.get(column)
    if value in (None, ""):
        raise BadTrace(place, f"lacks {column!r}")
    return value


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Each with its place; a byte order mark, as spreadsheets write it, is no part of the first name."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadTrace(str(path), f"can't be read: {error}") from error
    return _csv_rows(path, text) if path.suffix.lower() == ".csv" else _json_rows(path, text)


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        for row in reader:
            yield f"{path}:{reader.line_num}", {name: value for name, value in row.items() if name}
    except csv.Error as error:
        raise BadTrace(str(path), f"is no CSV after line {reader.line_num}: {error}") from error


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", _object(line, f"{path}:{number}")


def _object(line: str, place: str) -> Row:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise BadTrace(place, f"{line[:60]!r} is no JSON") from error
    if not isinstance(found, dict):
        raise BadTrace(place, f"{line[:60]!r} is no object")
    return found


def _per_s(value: object, place: str) -> float:
    try:
        per_minute = float(str(value))
    except ValueError as error:
        raise BadTrace(place, f"{_shown(value)} is no number") from error
    if not 0 <= per_minute <= MOST_PER_MINUTE:
        raise BadTrace(place, f"{_shown(value)} is no number of questions a minute")
    return per_minute / MINUTE_S


def _at_s(value: object, place: str) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        return _moment_s(value, place)
    if seconds > MOST_AT_S and math.isfinite(seconds):
        raise BadTrace(place, f"{_shown(value)} is too late for seconds: are these milliseconds?")
    if not 0 <= seconds <= MOST_AT_S:
        raise BadTrace(place, f"{_shown(value)} is no number of seconds")
    return seconds


def _moment_s(value: object, place: str) -> float:
    """Without an offset it is UTC, so that the machine that reads it plays no part."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise BadTrace(place, f"{_shown(value)} is neither seconds nor a time of ISO 8601") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
