"""Candidates that ran, and which of them is believed: they vote by the rows that they came to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from contracts.event import Rows, Scalar
from workers.sql.candidates import Candidate
from workers.sql.database import Result


@dataclass(frozen=True)
class Tried:
    """A candidate that ran, as the guard wrote it."""

    candidate: Candidate
    statement: str
    result: Result


@dataclass(frozen=True)
class Failed:
    candidate: Candidate
    reason: str


Attempt = Tried | Failed


def elected(planned: Attempt | None, modelled: Sequence[Attempt], reason: str) -> Rows:
    """The rows that most candidates come to; in a tie those of the model's first statement.

    Only two authors that agree are believed: a model that repeats itself is one author, and no rows at all
    prove nothing, for two wrong conditions find the same nothing.

    Args:
        reason: what speaks against the planner's statement, or why there is none.
    """
    ran = [attempt for attempt in modelled if isinstance(attempt, Tried)]
    if not isinstance(planned, Tried):
        return _of_model(ran, reason) if ran else _none(modelled, reason)
    if not ran:
        said = _failure(modelled)
        return rows_of(planned, "low", " ".join(part for part in (reason, said) if part))
    groups = grouped([*ran, planned])
    best = max(groups, key=len)
    if planned not in best:
        return rows_of(best[0], "low", "The planner and the language model come to different rows.")
    if len(best) == 1:
        return rows_of(ran[0], "low", "The planner and the language model come to different rows.")
    believed = any(any(cell is not None for cell in row) for row in planned.result.rows)
    return rows_of(planned, "high", "") if believed else rows_of(planned, "low", reason)


def grouped(attempts: Sequence[Tried]) -> list[list[Tried]]:
    """Those with equal rows together, in the order in which they came."""
    groups: list[list[Tried]] = []
    for attempt in attempts:
        group = next((known for known in groups if same_rows(known[0].result, attempt.result)), None)
        if group is None:
            groups.append([attempt])
        else:
            group.append(attempt)
    return groups


def same_rows(one: Result, other: Result) -> bool:
    """Equal rows, whatever the order of rows and columns and the names of columns."""
    return Counter(map(_unordered, one.rows)) == Counter(map(_unordered, other.rows))


def rows_of(tried: Tried, confidence: Literal["high", "low"], reason: str) -> Rows:
    return Rows(
        statement=tried.statement,
        columns=tried.result.columns,
        rows=tried.result.rows,
        truncated=tried.result.truncated,
        confidence=confidence,
        reason=reason,
    )


def _of_model(ran: list[Tried], reason: str) -> Rows:
    groups = grouped(ran)
    best = max(groups, key=len)
    said = "Written by the language model alone."
    if len(groups) > 1:
        said = f"Written by the language model alone; {len(best)} of its {len(ran)} statements agree."
    return rows_of(best[0], "low", f"{said} {reason}".strip())


def _none(modelled: Sequence[Attempt], reason: str) -> Rows:
    why = " ".join(part for part in (reason, _failure(modelled)) if part) or "No statement could be made."
    return Rows(statement=None, confidence="none", reason=why)


def _failure(modelled: Sequence[Attempt]) -> str:
    failed = [attempt.reason for attempt in modelled if isinstance(attempt, Failed)]
    return failed[0] if failed else ""


def _unordered(row: tuple[Scalar, ...]) -> tuple[str, ...]:
    return tuple(sorted(f"{value:.6g}" if isinstance(value, int | float) else str(value) for value in row))
