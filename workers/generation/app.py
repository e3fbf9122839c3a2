"""The generation worker on the bus."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from bus.answer_log import AnswerWriter, DeltaWriter, LogState
from bus.cancellation import Cancellations, watch_cancellations
from bus.connection import Bus
from bus.consume import PullLoop, Source
from bus.delivery import Delivery, Work
from bus.envelope import now_ms
from bus.stage import run_stage
from bus.topology import GENERATE, generation_consumers
from bus.vitals import Written
from contracts import Accepted, Delta, Done, GenerateJob, LogPosition, Routed
from contracts.errors import AnswerEnded, DeadlineExceeded, DependencyUnavailable, Fenced
from workers.engines import Engine, open_engine
from workers.engines.measured import MeasuredEngine, engine_news
from workers.generation.answering import write_answer
from workers.generation.settings import GenerationSettings
from workers.generation.turns import Turns
from workers.shell.http import Ready
from workers.shell.neighbours import serve_stage
from workers.shell.process import Open
from workers.tracing.content import Content
from workers.tracing.ports import traced_engine

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Parts:
    """What writing an answer needs."""

    bus: Bus
    engine: Engine
    settings: GenerationSettings
    cancellations: Cancellations
    turns: Turns


def make(settings: GenerationSettings) -> Open:
    @asynccontextmanager
    async def open_generation(bus: Bus) -> AsyncIterator[Ready]:
        opened = await open_engine(settings.engine, engine_news(bus.vitals))
        engine = MeasuredEngine(traced_engine(opened, bus.spans, Content(settings.trace_content)), bus.vitals)
        log.info("the engine is ready", action="engine_ready", engine=engine.name, slots=engine.slots)
        most = settings.engine.slot_count()
        source = Source.of(
            GENERATE,
            most,
            consumers=generation_consumers(settings.model),
            bulk_share=settings.bulk_share,
        )
        turns = Turns()

        @asynccontextmanager
        async def serve(at: Bus, of: Source) -> AsyncIterator[PullLoop]:
            async with watch_cancellations(at) as cancellations:
                work = _work(Parts(at, engine, settings, cancellations, turns))
                able = _as_engine_can(of, engine, most)
                async with run_stage(
                    at, able, GenerateJob, work, drain_grace_s=settings.drain_grace_s
                ) as loop:
                    yield loop

        async with serve_stage(bus, source, serve, settings=settings) as loop:
            yield lambda: {"pulling": loop.alive}
        await engine.close()

    return open_generation


def _as_engine_can(source: Source, engine: Engine, most: int) -> Source:
    """Slots that the engine does not have just now, since its cache is full, count as held."""
    return replace(source, beside=lambda own: source.beside(own) + max(0, most - engine.slots))


def _work(parts: Parts) -> Work[GenerateJob]:
    async def work(delivery: Delivery[GenerateJob]) -> None:
        """May run twice: what stands on the log is kept and continued, and only one attempt can append."""
        job = delivery.body
        position = LogPosition(first_sequence=job.first_sequence, last_sequence=0, last_index=0)
        writer = AnswerWriter(parts.bus, delivery.tenant, job.query_id, position=position)
        state = await writer.read()
        if state.terminal is not None:
            raise AnswerEnded(f"The answer {job.query_id!r} ended as {state.terminal.type!r}.")
        if not state.events:
            raise DependencyUnavailable(f"The log of {job.query_id!r} is empty.")
        delivery.envelope.check_deadline()  # again: a timeout that is over lets the work begin first
        writer.position = state.position
        writing = _write(parts, writer, state, remaining_s=delivery.envelope.remaining_s())
        await parts.cancellations.run(delivery.tenant, job.query_id, writing)

    return work


async def _write(parts: Parts, writer: AnswerWriter, state: LogState, *, remaining_s: float) -> None:
    """Stream the answer onto its log until the terminal, the deadline or a fence.

    When another attempt takes over, the refused flush cancels this task: the engine's request ends at once.
    """
    task = asyncio.current_task()
    assert task is not None
    deltas = DeltaWriter(writer, on_refused=task.cancel)
    try:
        async with asyncio.timeout(remaining_s):
            await _stream(parts, writer, deltas, state)
    except TimeoutError:
        with contextlib.suppress(Fenced, AnswerEnded):
            await deltas.drain()
        raise DeadlineExceeded(
            f"The deadline passed while the answer was written, after {remaining_s:.1f} s."
        ) from None
    except asyncio.CancelledError:
        if deltas.refused is not None:
            task.uncancel()
            raise deltas.refused from None
        with contextlib.suppress(Fenced, AnswerEnded, DependencyUnavailable):
            await deltas.drain()
        raise


async def _stream(parts: Parts, writer: AnswerWriter, deltas: DeltaWriter, state: LogState) -> None:
    first_text_at = next((event.at for event in state.events if isinstance(event, Delta)), 0)
    await parts.turns.read(state.events)
    pieces = write_answer(state.events, engine=parts.engine, settings=parts.settings)
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Done):
                await deltas.drain()
                done = await writer.append(piece)
                parts.bus.vitals.tell(_written(state, first_text_at or done.at, done.at))
                return
            first_text_at = first_text_at or now_ms()
            deltas.write(piece.text, piece.tokens)


def _written(state: LogState, first_text_at: int, ended_at: int) -> Written:
    accepted = next(event for event in state.events if isinstance(event, Accepted))
    routed = next((event for event in state.events if isinstance(event, Routed)), None)
    return Written(
        tenant=accepted.tenant,
        route=routed.route.value if routed else "",
        first_text_s=max(0, first_text_at - accepted.at) / 1000,
        whole_s=max(0, ended_at - accepted.at) / 1000,
    )
