"""What the operator's page asks: numbers, dead letters, recent answers; replay, purge, cancel."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from bus.connection import Bus
from bus.dead_letter import DeadLetter, LetterFilter, forget_letter, read_latest_letters, read_letter
from bus.operations import Fate, cancel_one, in_parallel
from bus.overview import Overview, read_overview
from bus.resubmission import Replayed, replay
from bus.scaling import ScalingReport, read_scaling
from contracts.errors import AnswerNotFound, DependencyUnavailable, Unauthorized
from contracts.query import Name
from workers.ops.recent import Recent, RecentAnswers
from workers.ops.scaling import Scaling, local_scaling, scaling_elsewhere
from workers.ops.settings import OpsSettings
from workers.shell.pages import page_routes
from workers.shell.tenants import key_digest

log = structlog.get_logger(__name__)

FOLDER = Path(__file__).parent / "page"
MOST_LETTERS = 200
LONGEST_BODY = 20_000

R = TypeVar("R")


class Board(BaseModel):
    model_config = ConfigDict(frozen=True)

    overview: Overview
    answers: tuple[Recent, ...]
    scaling: Scaling
    trace_link: str


class Letters(BaseModel):
    """Newest first."""

    model_config = ConfigDict(frozen=True)

    letters: tuple[DeadLetter, ...]
    more: bool = Field(description="older ones exist that are not among them")


class ShownLetter(BaseModel):
    model_config = ConfigDict(frozen=True)

    letter: DeadLetter
    headers: dict[str, str]
    body: str = Field(description="as text; cut where it is long")


class Chosen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sequences: Annotated[tuple[int, ...], Field(min_length=1, max_length=MOST_LETTERS)]


class Purged(BaseModel):
    model_config = ConfigDict(frozen=True)

    purged: int


class Cancelling(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: Name
    id: Name


class Fated(BaseModel):
    model_config = ConfigDict(frozen=True)

    fate: Fate


@dataclass(frozen=True)
class Desk:
    """What each route works with."""

    bus: Bus
    settings: OpsSettings
    recent: RecentAnswers

    def admit(self, request: Request) -> None:
        """Raises Unauthorized."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or key_digest(key.strip()) not in self.settings.key_digests:
            raise Unauthorized(
                "The operator's key is missing or not known.",
                remedy="Send 'Authorization: Bearer <key>' with a key whose SHA-256 is in AF_OPS_KEY_SHA256.",
            )


def install(app: FastAPI, desk: Desk) -> None:
    routes = APIRouter(prefix="/ops", tags=["operator"], dependencies=[Depends(desk.admit)])
    bus = desk.bus

    @routes.get("/board", summary="Stages, scaling, workers and recent answers")
    async def board() -> Board:
        overview, report = await asyncio.gather(read_overview(bus), _report(bus))
        return Board(
            overview=overview,
            answers=await desk.recent.read(),
            scaling=local_scaling(report) if report else scaling_elsewhere(overview, desk.settings.targets),
            trace_link=desk.settings.trace_link,
        )

    @routes.get("/letters", summary="Dead letters, newest first")
    async def letters(stage: str = "", tenant: str = "", code: str = "") -> Letters:
        chosen = LetterFilter(stage=stage, tenant=tenant, code=code, limit=MOST_LETTERS)
        found, more = await read_latest_letters(bus, chosen)
        return Letters(letters=found, more=more)

    @routes.get("/letters/{sequence}", summary="One dead letter, whole")
    async def letter(sequence: int) -> ShownLetter:
        found = await read_letter(bus, sequence)
        if found is None:
            raise AnswerNotFound(f"There is no dead letter {sequence}.", remedy="It was replayed or purged.")
        return ShownLetter(letter=found, headers=found.headers, body=_readable(found.body))

    @routes.post("/letters/replay", summary="Work dead letters again")
    async def replay_letters(chosen: Chosen) -> list[Replayed]:
        return await _each(chosen.sequences, lambda sequence: replay(bus, sequence))

    @routes.post("/letters/purge", summary="Throw dead letters away")
    async def purge(chosen: Chosen) -> Purged:
        return Purged(
            purged=sum(await _each(chosen.sequences, lambda sequence: forget_letter(bus, sequence)))
        )

    @routes.post("/cancel", summary="End an answer")
    async def cancel(wanted: Cancelling) -> Fated:
        return Fated(fate=await cancel_one(bus, wanted.tenant, wanted.id))

    app.include_router(routes)
    app.router.routes.extend(page_routes(FOLDER, {"/": "ops.html", "/ops": "ops.html"}))


async def _report(bus: Bus) -> ScalingReport | None:
    """A scaler that does not answer in time does not hide the board."""
    try:
        return await read_scaling(bus)
    except DependencyUnavailable as error:
        log.warning("the scaler did not answer", action="scaling.unanswered", error=error.detail)
        return None


async def _each(sequences: tuple[int, ...], work: Callable[[int], Awaitable[R]]) -> list[R]:
    return [found async for found in in_parallel(dict.fromkeys(sequences), work)]


def _readable(body: bytes) -> str:
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        text = body.decode(errors="replace")
    return (
        text if len(text) <= LONGEST_BODY else f"{text[:LONGEST_BODY]}\n... {len(text):,} characters in all"
    )
