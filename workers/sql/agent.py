"""From a question to rows: candidates, the guard, the database, one repair, a vote."""

import asyncio
import time

from contracts.errors import (
    ContextOverflow,
    DependencyUnavailable,
    SchemaChanged,
    StatementRefused,
)
from contracts.event import Rows
from workers.catalogue.definitions import find_definitions
from workers.catalogue.linking import SchemaIndex
from workers.sql.candidates import Candidate, Engine, model_candidate
from workers.sql.database import Database
from workers.sql.doubts import doubt_about
from workers.sql.failures import StatementFailed, StatementTimeout
from workers.sql.guard import guard
from workers.sql.intent import refusal
from workers.sql.proposal import NoProposal
from workers.sql.terms import plan
from workers.sql.verified import verified_candidate
from workers.sql.votes import Attempt, Failed, Tried, elected, rows_of, same_rows

DEFAULT_ROW_LIMIT = 200
DEFAULT_CANDIDATES = 3
_VARIETY = 0.7
"""Temperature of the model's further statements: the first is its best, these show what else it reads."""


async def answer(
    question: str,
    *,
    database: Database,
    index: SchemaIndex,
    engine: Engine | None = None,
    tenant: str = "",
    row_limit: int = DEFAULT_ROW_LIMIT,
    candidates: int = DEFAULT_CANDIDATES,
    notes: str = "",
) -> Rows:
    """Rows with the statement that made them, or `statement` None and the reason.

    Args:
        notes: what the words of the question mean, beside the semantic model: `ASP = average sale price`.
        candidates: statements that the language model may write; they and the planner's vote.

    Raises:
        DependencyUnavailable: the database does not answer, or the language model where only it could help.
        SchemaChanged: the semantic model names a table or column that is gone.
    """
    asking = _Asking(database, index, notes, tenant=tenant, row_limit=row_limit)
    started = time.perf_counter()
    rows = await asking.answer(question, engine, candidates)
    return rows.model_copy(update={"took_ms": round((time.perf_counter() - started) * 1_000, 2)})


def _agree(one: Attempt, other: Attempt | None) -> bool:
    return isinstance(one, Tried) and isinstance(other, Tried) and same_rows(one.result, other.result)


class _Asking:
    """What stays the same over the candidates of one question."""

    def __init__(
        self, database: Database, index: SchemaIndex, notes: str, *, tenant: str, row_limit: int
    ) -> None:
        self._database, self._index, self._notes = database, index, notes
        self._tenant, self._row_limit = tenant, row_limit
        self._formulas = find_definitions(notes)

    async def answer(self, question: str, engine: Engine | None, candidates: int) -> Rows:
        verified = verified_candidate(question, self._index)
        if verified is not None:
            tried = await self._try(verified)
            if isinstance(tried, Tried):
                return rows_of(tried, "high", verified.note)
        refused = refusal(question)
        if refused is not None:
            return Rows(statement=None, confidence="none", reason=refused)
        planned, reason = await self._plan(question)
        if isinstance(planned, Tried) and planned.candidate.sure:
            return rows_of(planned, "high", "")
        if engine is None:
            return elected(planned, (), reason)
        return await self._with_model(question, engine, (planned, reason), candidates)

    async def _plan(self, question: str) -> tuple[Attempt | None, str]:
        """What the planner's statement comes to, and what speaks against it."""
        proposal = plan(question, self._index, self._formulas)
        if isinstance(proposal, NoProposal):
            return None, proposal.reason
        note = "" if proposal.confident else doubt_about(question, self._index, proposal.unexplained)
        planned = await self._try(Candidate(proposal.sql, "planner", proposal.confident, note))
        return planned, planned.reason if isinstance(planned, Failed) else note

    async def _with_model(
        self, question: str, engine: Engine, planned: tuple[Attempt | None, str], candidates: int
    ) -> Rows:
        """A model that is away costs an uncertain answer nothing; where it alone could help, we wait."""
        mine, reason = planned
        try:
            modelled = await self._ask_model(question, engine, mine, candidates)
        except DependencyUnavailable:
            if not isinstance(mine, Tried):
                raise
            return elected(mine, (), f"{reason} The language model does not answer.".strip())
        except ContextOverflow as error:
            return elected(mine, (), f"{reason} {error.detail}".strip())
        return elected(mine, modelled, reason)

    async def _ask_model(
        self, question: str, engine: Engine, planned: Attempt | None, candidates: int
    ) -> list[Attempt]:
        """One statement, repaired once when the guard or the database refuses it; more where none agrees."""
        first = await self._first(question, engine)
        if first is None or candidates < 2:
            return [] if first is None else [first]
        if _agree(first, planned):
            return [first]
        others = await asyncio.gather(
            *(
                model_candidate(question, self._index, engine, notes=self._notes, temperature=_VARIETY)
                for _ in range(candidates - 1)
            )
        )
        return [first, *[await self._try(other) for other in others if other is not None]]

    async def _first(self, question: str, engine: Engine) -> Attempt | None:
        candidate = await model_candidate(question, self._index, engine, notes=self._notes)
        if candidate is None:
            return None
        tried = await self._try(candidate)
        if isinstance(tried, Tried):
            return tried
        repaired = await model_candidate(
            question, self._index, engine, notes=self._notes, failed=(candidate.sql, tried.reason)
        )
        return tried if repaired is None else await self._try(repaired)

    async def _try(self, candidate: Candidate) -> Attempt:
        try:
            guarded = guard(candidate.sql, self._index.model, row_limit=self._row_limit)
            result = await self._database.query(guarded.sql, row_limit=self._row_limit, tenant=self._tenant)
        except (StatementRefused, StatementFailed, StatementTimeout) as error:
            return Failed(candidate, error.detail)
        except SchemaChanged as error:
            # What a model invents is no sign that the schema changed; the planner invents nothing.
            if candidate.origin == "planner":
                raise
            return Failed(candidate, error.detail)
        return Tried(candidate, guarded.sql, result)
