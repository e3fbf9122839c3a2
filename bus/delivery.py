"""From a pulled message to a settled one: decode, check the deadline, work, then ack, nak or give up.

The rules are those of `contracts.errors`; handlers raise, this file decides.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from pydantic import BaseModel

from bus import subjects
from bus.attempts import note_hand_back, tried
from bus.connection import Bus
from bus.dead_letter import bury, trace_id_of
from bus.envelope import TRACE_PARENT, Envelope, now_ms
from bus.spans import Arrival
from bus.subjects import Lane
from bus.vitals import Outcome, Settled
from contracts import EvidenceJob, GenerateJob, Query, decode
from contracts.errors import (
    AnswerEnded,
    AskfleetError,
    DeadlineExceeded,
    Fenced,
    PermanentError,
    TransientError,
)
from contracts.query import DEFAULT_DEADLINE_S

log = structlog.get_logger(__name__)

T = TypeVar("T", bound=BaseModel)

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 10.0
HAND_BACK_DELAY_S = 1.0


@dataclass(frozen=True)
class Delivery(Generic[T]):
    """One attempt at one message. `attempt` counts from 1; `age_s` is the time since it was published."""

    body: T
    tenant: str
    envelope: Envelope
    attempt: int
    age_s: float = 0.0
    lane: Lane = Lane.FRESH


@dataclass(frozen=True)
class Refusal:
    """A message that was given up: what the stage is told, so that it can say so on the log."""

    raw: bytes
    tenant: str
    envelope: Envelope
    error: AskfleetError
    lane: Lane = Lane.FRESH


Work = Callable[[Delivery[T]], Awaitable[None]]
GiveUp = Callable[[Refusal], Awaitable[None]]


@dataclass(frozen=True)
class Terms:
    """What a stage allows.

    Args:
        most_retries: redelivered messages in work at once while others wait, so that retries do not starve
            fresh work.
        default_deadline_s: for messages that state no deadline, seconds from when they were stored.
    """

    stage: str
    most_retries: int = 1
    default_deadline_s: float = DEFAULT_DEADLINE_S


class Settler(Generic[T]):
    """Runs one stage's work on messages and settles them. Used as the handler of a `PullLoop`."""

    def __init__(self, bus: Bus, terms: Terms, kind: type[T], work: Work[T], give_up: GiveUp) -> None:
        self._bus = bus
        self._terms = terms
        self._kind = kind
        self._work = work
        self._give_up = give_up
        self._retrying = 0

    async def __call__(self, message: Msg) -> None:
        with self._bus.spans.working(self._arrival(message)):
            await self._settle_and_tell(message)

    async def _settle_and_tell(self, message: Msg) -> None:
        heartbeat = _Heartbeat(message, self._bus)
        outcome, began = Outcome.LEFT, time.perf_counter()
        waited_s = (now_ms() - _sent_ms(message)) / 1000
        try:
            again = message.metadata.num_delivered > 1
            outcome = await (self._settle_again(message) if again else self._settle(message))
        except asyncio.CancelledError:
            outcome = Outcome.HANDED_BACK
            await asyncio.shield(self._hand_back(message))
            raise
        except (NatsError, OSError, TransientError) as error:
            log.warning("could not settle; it comes again", action="settle_failed", error=repr(error))
        finally:
            heartbeat.stop()
            self._bus.spans.settled(outcome)
            attempt, worked_s = message.metadata.num_delivered, time.perf_counter() - began
            self._bus.vitals.tell(Settled(self._terms.stage, outcome, attempt, waited_s, worked_s))

    async def _settle_again(self, message: Msg) -> Outcome:
        """A redelivered message: it waits for a slot among its kind, and is not tried for ever."""
        if self._retrying >= self._terms.most_retries and message.metadata.num_pending > 0:
            await self._hand_back(message, delay_s=HAND_BACK_DELAY_S * random.uniform(1, 2))  # noqa: S311
            return Outcome.HANDED_BACK
        self._retrying += 1
        try:
            if await self._spent(message):
                silent = PermanentError("Every worker that took this message ended before it could answer.")
                return await self._on_error(message, self._refusal(message, silent))
            return await self._settle(message)
        finally:
            self._retrying -= 1

    async def _settle(self, message: Msg) -> Outcome:
        envelope = self._envelope(message)
        try:
            envelope.check_deadline()
            body = decode(self._kind, message.data, schema=envelope.schema)
            self._introduce(message, body, envelope)
            await self._work(_delivery(message, body, envelope))
        except AnswerEnded:
            await message.ack()
            return Outcome.OBSOLETE
        except Fenced:
            log.info("another attempt goes on with this answer", action="fenced", stage=self._terms.stage)
            return Outcome.FENCED
        except AskfleetError as error:
            return await self._on_error(message, self._refusal(message, error))
        except Exception as error:  # the edge of the loop: any fault is retried, then buried
            log.exception("a handler failed", action="handler_failed", stage=self._terms.stage)
            fault = TransientError(f"{type(error).__name__}: {error}")
            return await self._on_error(message, self._refusal(message, fault))
        await message.ack()
        return Outcome.DONE

    async def _on_error(self, message: Msg, refusal: Refusal) -> Outcome:
        error, attempt, stage = refusal.error, message.metadata.num_delivered, self._terms.stage
        self._bus.spans.failed(error)
        if isinstance(error, TransientError) and not await self._spent(message, with_this=True):
            delay_s = retry_delay_s(attempt)
            log.warning(
                "a fault that may pass; trying again",
                action="retry",
                stage=stage,
                attempt=attempt,
                delay_s=round(delay_s, 2),
                error=str(error),
            )
            await message.nak(delay=delay_s)
            return Outcome.RETRIED
        await tell(self._give_up, refusal)
        if isinstance(error, DeadlineExceeded):
            await message.ack()
            return Outcome.EXPIRED
        log.error("given up", action="buried", stage=stage, attempt=attempt, error=str(error))
        await bury(self._bus, stage, message, error, attempt)
        await message.term()
        return Outcome.BURIED

    async def _spent(self, message: Msg, *, with_this: bool = False) -> bool:
        """Whether all attempts were used, by earlier deliveries or `with_this` one."""
        allowed = self._bus.settings.max_deliver - 1 if with_this else self._bus.settings.max_deliver
        return message.metadata.num_delivered >= allowed and await tried(self._bus, message) >= allowed

    async def _hand_back(self, message: Msg, *, delay_s: float = 0.0) -> None:
        """Untried, so it does not count as an attempt; the message first, for its note may fail."""
        try:
            await message.nak(delay=delay_s or None)
            await note_hand_back(self._bus, message)
        except (NatsError, OSError, AskfleetError) as error:
            log.warning("could not hand back; it comes again", action="nak_failed", error=repr(error))

    def _introduce(self, message: Msg, body: T, envelope: Envelope) -> None:
        """Each message is worked on in a task of its own, so what is bound here is on its log lines only."""
        named = {"query_id": _query_id(body), "trace_id": trace_id_of(envelope.trace_parent)}
        structlog.contextvars.bind_contextvars(**{key: value for key, value in named.items() if value})
        self._bus.spans.received(subjects.tenant_of(message.subject), body)

    def _arrival(self, message: Msg) -> Arrival:
        found = message.metadata
        arrival = Arrival(
            self._terms.stage,
            found.stream,
            found.sequence.stream,
            found.num_delivered,
            _sent_ms(message),
            (message.headers or {}).get(TRACE_PARENT, ""),
        )
        own = "" if arrival.trace_parent else self._bus.spans.own_trace_parent(arrival)
        return replace(arrival, trace_parent=own) if own else arrival

    def _envelope(self, message: Msg) -> Envelope:
        envelope = Envelope.read(
            message.headers, sent_ms=_sent_ms(message), default_deadline_s=self._terms.default_deadline_s
        )
        if envelope.trace_parent:
            return envelope
        own = self._arrival(message).trace_parent
        return replace(envelope, trace_parent=own) if own else envelope

    def _refusal(self, message: Msg, error: AskfleetError) -> Refusal:
        tenant, lane = subjects.tenant_of(message.subject), subjects.lane_of(message.subject)
        return Refusal(message.data, tenant, self._envelope(message), error, lane)


async def tell(give_up: GiveUp, refusal: Refusal) -> None:
    """Say it on the log; an answer that ended meanwhile needs no word."""
    try:
        await give_up(refusal)
    except (AnswerEnded, Fenced):
        return
    except PermanentError as error:
        log.warning("could not say so on the log", action="give_up_failed", error=str(error))


def _delivery(message: Msg, body: T, envelope: Envelope) -> Delivery[T]:
    return Delivery(
        body,
        subjects.tenant_of(message.subject),
        envelope,
        message.metadata.num_delivered,
        (now_ms() - _sent_ms(message)) / 1000,
        subjects.lane_of(message.subject),
    )


def _query_id(body: BaseModel) -> str:
    match body:
        case Query():
            return body.id
        case EvidenceJob() | GenerateJob():
            return body.query_id
    return ""


def _sent_ms(message: Msg) -> int:
    return int(message.metadata.timestamp.timestamp() * 1000)


def retry_delay_s(attempt: int) -> float:
    """Doubles from half a second to 10 s, with a tenth of jitter so that retries do not come in step."""
    exact = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** (attempt - 1))
    return exact * random.uniform(0.9, 1.1)  # noqa: S311 (not for secrets)


class _Heartbeat:
    """Tells the server every third of `ack_wait` that the message is being worked on, up to a cap."""

    def __init__(self, message: Msg, bus: Bus) -> None:
        self._message = message
        self._period_s = bus.settings.ack_wait_s / 3
        self._left = int(bus.settings.heartbeat_cap_s / self._period_s)
        self._loop = asyncio.get_running_loop()
        self._beat_task: asyncio.Task[None] | None = None
        self._handle = self._loop.call_later(self._period_s, self._beat)

    def _beat(self) -> None:
        if self._left <= 0:
            return
        self._left -= 1
        self._beat_task = self._loop.create_task(self._send())
        self._handle = self._loop.call_later(self._period_s, self._beat)

    async def _send(self) -> None:
        try:
            await self._message.in_progress()
        except (NatsError, OSError) as error:
            log.warning("a heartbeat was not sent", action="heartbeat_failed", error=repr(error))

    def stop(self) -> None:
        self._handle.cancel()
