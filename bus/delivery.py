"""From a pulled message to a settled one: decode, check the deadline, work, then ack, nak or give up.

The rules are those of `contracts.errors`; handlers raise, this file decides.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from pydantic import BaseModel

from bus import subjects
from bus.connection import Bus
from bus.dead_letter import bury
from bus.envelope import Envelope, now_ms
from contracts import decode
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
LONGEST_DELAY_S = 30.0


@dataclass(frozen=True)
class Delivery(Generic[T]):
    """One attempt at one message. `attempt` counts from 1; `age_s` is the time since it was published."""

    body: T
    tenant: str
    envelope: Envelope
    attempt: int
    age_s: float = 0.0


@dataclass(frozen=True)
class Refusal:
    """A message that was given up: what the stage is told, so that it can say so on the log."""

    raw: bytes
    tenant: str
    envelope: Envelope
    error: AskfleetError


Work = Callable[[Delivery[T]], Awaitable[None]]
GiveUp = Callable[[Refusal], Awaitable[None]]


@dataclass(frozen=True)
class Terms:
    """`default_deadline_s`: for messages that state no deadline, seconds from when they were stored."""

    stage: str
    default_deadline_s: float = DEFAULT_DEADLINE_S


class Settler(Generic[T]):
    """Runs one stage's work on messages and settles them. Used as the handler of a `PullLoop`."""

    def __init__(self, bus: Bus, terms: Terms, kind: type[T], work: Work[T], give_up: GiveUp) -> None:
        self._bus = bus
        self._stage = terms.stage
        self._default_deadline_s = terms.default_deadline_s
        self._kind = kind
        self._work = work
        self._give_up = give_up

    async def __call__(self, message: Msg) -> None:
        heartbeat = _Heartbeat(message, self._bus)
        try:
            await self._settle(message)
        except asyncio.CancelledError:
            await asyncio.shield(_hand_back(message))
            raise
        except (NatsError, OSError) as error:
            log.warning("could not settle; it comes again", action="settle_failed", error=repr(error))
        finally:
            heartbeat.stop()

    async def _settle(self, message: Msg) -> None:
        attempt = message.metadata.num_delivered
        sent_ms = int(message.metadata.timestamp.timestamp() * 1000)
        envelope = Envelope.read(
            message.headers, sent_ms=sent_ms, default_deadline_s=self._default_deadline_s
        )
        tenant = subjects.tenant_of(message.subject)
        try:
            envelope.check_deadline()
            body = decode(self._kind, message.data, schema=envelope.schema)
            age_s = (now_ms() - sent_ms) / 1000
            await self._work(Delivery(body, tenant, envelope, attempt, age_s))
        except AnswerEnded:
            await message.ack()
        except Fenced:
            log.info("another attempt goes on with this answer", action="fenced", stage=self._stage)
        except AskfleetError as error:
            await self._on_error(message, Refusal(message.data, tenant, envelope, error), attempt)
        except Exception as error:  # the edge of the loop: any fault is retried, then buried
            log.exception("a handler failed", action="handler_failed", stage=self._stage, attempt=attempt)
            fault = TransientError(f"{type(error).__name__}: {error}")
            await self._on_error(message, Refusal(message.data, tenant, envelope, fault), attempt)
        else:
            await message.ack()

    async def _on_error(self, message: Msg, refusal: Refusal, attempt: int) -> None:
        error = refusal.error
        last_try = attempt >= self._bus.settings.max_deliver - 1
        if isinstance(error, TransientError) and not last_try:
            delay_s = retry_delay_s(attempt)
            log.warning(
                "a fault that may pass; trying again",
                action="retry",
                stage=self._stage,
                attempt=attempt,
                delay_s=round(delay_s, 2),
                error=str(error),
            )
            await message.nak(delay=delay_s)
            return
        await self._tell(refusal)
        if isinstance(error, DeadlineExceeded):
            await message.ack()
            return
        log.error("given up", action="buried", stage=self._stage, attempt=attempt, error=str(error))
        await bury(self._bus, self._stage, message, refusal.error, attempt)
        await message.term()

    async def _tell(self, refusal: Refusal) -> None:
        """Say it on the log; an answer that ended meanwhile needs no word."""
        try:
            await self._give_up(refusal)
        except (AnswerEnded, Fenced):
            return
        except PermanentError as error:
            log.warning("could not say so on the log", action="give_up_failed", error=str(error))


def retry_delay_s(attempt: int) -> float:
    """Doubles from half a second to 30 s, with a tenth of jitter so that retries do not come in step."""
    exact = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** (attempt - 1))
    return exact * random.uniform(0.9, 1.1)  # noqa: S311 (not for secrets)


async def _hand_back(message: Msg) -> None:
    try:
        await message.nak()
    except (NatsError, OSError) as error:
        log.warning("could not hand back; it comes again", action="nak_failed", error=repr(error))


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
