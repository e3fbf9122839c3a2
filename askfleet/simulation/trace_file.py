"""Arrivals from a file: a time for each question, or a rate for each minute; CSV or JSON lines."""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from askfleet.simulation.demand import Floats, Rates, rates_of
from contracts.errors import Misconfigured

TIME, RATE = "at", "per_minute"
SHAPE = (
    f'Give CSV with a header, or JSON lines: a column "{TIME}" (seconds, or ISO 8601) with one line '
    f'a question, or "{RATE}" with one line a minute.'
)
MOST_SECONDS = 31 * 86_400


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
    """Times count from the first one's minute. Raises BadTrace."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadTrace(str(path), f"can't be read: {error}") from error
    column, values = _column(list(_rows(path, text)), path)
    if column == RATE:
        return Trace(Rates(np.array([_number(value, place) for place, value in values]) / 60.0), None)
    times = np.sort(np.array([_seconds(value, place) for place, value in values]))
    times -= math.floor(times[0] / 60.0) * 60.0
    if times[-1] > MOST_SECONDS:
        raise BadTrace(str(path), f"arrivals span {times[-1] / 86_400:.0f} days, more than 31")
    seconds = (math.floor(times[-1] / 60.0) + 1) * 60.0
    return Trace(rates_of(times, seconds), times)


Values = list[tuple[str, object]]


def _column(rows: list[tuple[str, dict[str, object]]], path: Path) -> tuple[str, Values]:
    if not rows:
        raise BadTrace(str(path), "holds no arrivals")
    place, first = rows[0]
    found = [name for name in (TIME, RATE) if name in first]
    if len(found) != 1:
        raise BadTrace(place, f"needs either {TIME!r} or {RATE!r}, and has {', '.join(first) or 'nothing'}")
    values: Values = []
    for place, row in rows:
        if row.get(found[0]) in (None, ""):
            raise BadTrace(place, f"lacks {found[0]!r}")
        values.append((place, row[found[0]]))
    return found[0], values


def _rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, object]]]:
    if path.suffix == ".csv":
        reader = csv.DictReader(text.splitlines())
        for row in reader:
            yield f"{path}:{reader.line_num}", {name: value for name, value in row.items() if name}
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield f"{path}:{number}", _object(line, f"{path}:{number}")


def _object(line: str, place: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise BadTrace(place, f"{line[:60]!r} is no JSON") from error
    if not isinstance(found, dict):
        raise BadTrace(place, f"{line[:60]!r} is no object")
    return found


def _number(value: object, place: str) -> float:
    try:
        number = float(str(value))
    except ValueError as error:
        raise BadTrace(place, f"{value!r} is no number") from error
    if not math.isfinite(number) or number < 0:
        raise BadTrace(place, f"{value!r} is no number of questions or seconds")
    return number


def _seconds(value: object, place: str) -> float:
    try:
        return (
            datetime.fromisoformat(str(value)).timestamp() if "-" in str(value)[1:] else _number(value, place)
        )
    except ValueError as error:
        raise BadTrace(place, f"{value!r} is neither seconds nor a time of ISO 8601") from error
