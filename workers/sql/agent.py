"""From a question to rows: candidates, the guard, the database, one repair, a vote."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from contracts.errors import StatementRefused
from contracts.event import Rows, Scalar
from workers.catalogue.linking import SchemaIndex
from workers.sql.candidates import Candidate, Engine, model_candidate, verified_candidate
from workers.sql.database import Database, Result
from workers.sql.failures import StatementFailed, StatementTimeout
from workers.sql.guard import guard
from workers.sql.intent import refusal
from workers.sql.planner import NoProposal, Planner

DEFAULT_ROW_LIMIT = 200


@dataclass(frozen=True)
class _Tried:
    """A candidate that ran, as the guard wrote it."""

    candidate: Candidate
    statement: str
    result: Result


@dataclass(frozen=True)
class _Failed:
    candidate: Candidate
    reason: str


async def answer(
    question: str,
    *,
    database: Database,
    index: SchemaIndex,
    engine: Engine | None = None,
    tenant: str = "",
    row_limit: int = DEFAULT_ROW_LIMIT,
) -> Rows:
    """Rows with the statement that made them, or `statement` None and the reason.

    Raises:
        DependencyUnavailable: the database or the language model does not answer.
        SchemaChanged: the semantic model names a table or column that is gone.
    """
    asking = _Asking(database, index, tenant, row_limit)
    started = time.perf_counter()
    rows = await asking.answer(question, engine)
    return rows.model_copy(update={"took_ms": round((time.perf_counter() - started) * 1_000, 2)})


class _Asking:
    """What stays the same over the candidates of one question."""

    def __init__(self, database: Database, index: SchemaIndex, tenant: str, row_limit: int) -> None:
        self._database, self._index = database, index
        self._tenant, self._row_limit = tenant, row_limit

    async def answer(self, question: str, engine: Engine | None) -> Rows:
        verified = verified_candidate(question, self._index.model)
        if verified is not None:
            tried = await self._try(verified)
            if isinstance(tried, _Tried):
                return _rows(tried, "high", "A checked example query.")
        refused = refusal(question)
        if refused is not None:
            return Rows(statement=None, confidence="none", reason=refused)
        proposal = Planner(self._index.model, self._index).plan(question)
        planned: _Tried | _Failed | None = None
        if isinstance(proposal, NoProposal):
            reason = proposal.reason
        else:
            note = _doubt(proposal.unexplained)
            planned = await self._try(Candidate(proposal.sql, "planner", proposal.confident, note))
            reason = planned.reason if isinstance(planned, _Failed) else note
        if isinstance(planned, _Tried) and (planned.candidate.sure or engine is None):
            return _rows(
                planned, "high" if planned.candidate.sure else "low", "" if planned.candidate.sure else reason
            )
        modelled = await self._ask_model(question, engine) if engine is not None else None
        return _chosen(planned, modelled, reason)

    async def _ask_model(self, question: str, engine: Engine) -> _Tried | _Failed | None:
        """One statement, and one repair when the guard or the database refuses it."""
        candidate = await model_candidate(question, self._index, engine)
        if candidate is None:
            return None
        tried = await self._try(candidate)
        if isinstance(tried, _Tried):
            return tried
        repaired = await model_candidate(question, self._index, engine, failed=(candidate.sql, tried.reason))
        return tried if repaired is None else await self._try(repaired)

    async def _try(self, candidate: Candidate) -> _Tried | _Failed:
        try:
            guarded = guard(candidate.sql, self._index.model, row_limit=self._row_limit)
            result = await self._database.query(guarded.sql, row_limit=self._row_limit, tenant=self._tenant)
        except (StatementRefused, StatementFailed, StatementTimeout) as error:
            return _Failed(candidate, error.detail)
        return _Tried(candidate, guarded.sql, result)


def _chosen(planned: _Tried | _Failed | None, modelled: _Tried | _Failed | None, reason: str) -> Rows:
    """Two authors that come to the same rows are believed; one alone is said to be unsure."""
    if isinstance(planned, _Tried) and isinstance(modelled, _Tried):
        if same_rows(planned.result, modelled.result):
            return _rows(planned, "high", "")
        return _rows(modelled, "low", "The planner and the language model come to different rows.")
    if isinstance(planned, _Tried):
        return _rows(planned, "low", reason)
    if isinstance(modelled, _Tried):
        return _rows(modelled, "low", f"Written by the language model alone. {reason}".strip())
    said = modelled.reason if isinstance(modelled, _Failed) else ""
    why = " ".join(part for part in (reason, said) if part) or "No statement could be made."
    return Rows(statement=None, confidence="none", reason=why)


def same_rows(one: Result, other: Result) -> bool:
    """Equal rows, whatever the order of rows and columns and the names of columns."""
    return Counter(map(_unordered, one.rows)) == Counter(map(_unordered, other.rows))


def _unordered(row: tuple[Scalar, ...]) -> tuple[str, ...]:
    return tuple(sorted(f"{value:.6g}" if isinstance(value, int | float) else str(value) for value in row))


def _doubt(unexplained: tuple[str, ...]) -> str:
    if not unexplained:
        return "The question can be read in more than one way."
    return f"These words have no place in the statement: {', '.join(unexplained)}."


def _rows(tried: _Tried, confidence: Literal["high", "low"], reason: str) -> Rows:
    return Rows(
        statement=tried.statement,
        columns=tried.result.columns,
        rows=tried.result.rows,
        truncated=tried.result.truncated,
        confidence=confidence,
        reason=reason,
    )
