"""One stage of the pipeline: a pull loop whose given-up work is told on the answer log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from pydantic import BaseModel

from bus import subjects
from bus.answer_log import AnswerWriter
from bus.backstop import watch_given_up
from bus.connection import Bus
from bus.consume import PullLoop, Source
from bus.delivery import GiveUp, Refusal, Settler, Terms, Work
from bus.envelope import query_id_of
from contracts import Failed
from contracts.query import DEFAULT_DEADLINE_S

T = TypeVar("T", bound=BaseModel)


@asynccontextmanager
async def run_stage(
    bus: Bus,
    source: Source,
    kind: type[T],
    work: Work[T],
    *,
    drain_grace_s: float,
    give_up: GiveUp | None = None,
    default_deadline_s: float = DEFAULT_DEADLINE_S,
) -> AsyncIterator[PullLoop]:
    """Pull and work while the context is open; drain when it closes.

    Args:
        give_up: told of each message that is given up; by default `failed` is written on its answer log.
        default_deadline_s: for messages that state no deadline.
    """
    terms = Terms(source.durable.split("-")[0], max(1, source.concurrency // 2), default_deadline_s)
    tell = give_up or fail_on_log(bus)
    loop = PullLoop(bus, source, Settler(bus, terms, kind, work, tell))
    async with watch_given_up(bus, source.stream, terms, tell):
        await loop.start()
        bus.vitals.watch(loop)
        try:
            yield loop
        finally:
            await loop.drain(drain_grace_s)


def fail_on_log(bus: Bus) -> GiveUp:
    """Write `failed` on the answer log of the query that a given-up message belongs to, if it names one."""

    async def give_up(refusal: Refusal) -> None:
        query_id = query_id_of(refusal.raw, refusal.envelope.message_id)
        if query_id and subjects.is_token(refusal.tenant):
            writer = AnswerWriter(bus, refusal.tenant, query_id)
            await writer.append_once(Failed(problem=refusal.error.problem()))

    return give_up
