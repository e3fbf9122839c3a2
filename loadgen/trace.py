"""A recorded trace: JSON lines or CSV with `at_s`, and `question`, `route` and `tenant` where known."""

import csv
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts import Route
from contracts.errors import Misconfigured
from contracts.query import Name, NonBlank


class Recorded(BaseModel):
    """Fields that are left out come from the scenario's mix; `at_s` counts from the trace's own begin."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at_s: float = Field(ge=0)
    question: NonBlank | None = None
    route: Route | None = None
    tenant: Name | None = None


def read_trace(path: Path) -> tuple[Recorded, ...]:
    """In the order of their times. Raises Misconfigured that names file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"The trace {path} can't be read: {error}.", remedy="Check the file.") from error
    read = _json_lines(path, text) if text.lstrip().startswith("{") else _rows(path, text)
    found = sorted(read, key=lambda recorded: recorded.at_s)
    if not found:
        raise Misconfigured(f"The trace {path} is empty.")
    return tuple(found)


def _json_lines(path: Path, text: str) -> Iterator[Recorded]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                yield Recorded.model_validate_json(line)
            except ValidationError as error:
                raise _wrong(path, number, error) from error


def _rows(path: Path, text: str) -> Iterator[Recorded]:
    for number, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        try:
            yield Recorded.model_validate({name: value for name, value in row.items() if name and value})
        except ValidationError as error:
            raise _wrong(path, number, error) from error


def _wrong(path: Path, line: int, error: ValidationError) -> Misconfigured:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the line"
    return Misconfigured(
        f"{path}, line {line}: {where}: {first['msg']}.",
        remedy='A trace has lines such as {"at_s": 1.25, "question": "..."}, or CSV with a column at_s.',
    )
