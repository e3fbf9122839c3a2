"""Looks after the answers in memory: heals silent ones, ends expired and abandoned ones, drops old ones."""

import asyncio
import time
from collections.abc import Sequence

import structlog
from nats.errors import Error as NatsError

from bus.answer_log import AnswerWriter
from bus.asking import cancel_query
from bus.connection import Bus
from bus.envelope import now_ms
from bus.readers import is_read_elsewhere
from contracts import Failed
from contracts.errors import AnswerEnded, AskfleetError, DeadlineExceeded
from workers.bridge.answers import Answers, Held
from workers.bridge.settings import BridgeSettings

log = structlog.get_logger(__name__)

SWEEP_S = 1.0
RECONNECT_CHECK_S = 0.1
FLUSH_S = 2
DEADLINE_GRACE_S = 2.0
"""Workers say themselves that a deadline has passed; the bridge does it where none is there to say it."""


class Care:
    def __init__(self, bus: Bus, settings: BridgeSettings, answers: Answers) -> None:
        self._bus = bus
        self._settings = settings
        self._answers = answers
        self._healed = bus.nc.stats["reconnects"]

    async def sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            open_ = [held for held in self._answers.held if held.opening is None]
            await self._heal_silent(open_)
            for result in await asyncio.gather(*map(self._sweep, open_), return_exceptions=True):
                if isinstance(result, AskfleetError):
                    log.warning("could not look after an answer", action="sweep_failed", error=str(result))
                elif isinstance(result, BaseException):
                    raise result

    async def heal_forever(self) -> None:
        """What was said while the connection was lost is on the log: read it as soon as NATS is back."""
        while True:
            await asyncio.sleep(RECONNECT_CHECK_S)
            reconnects = self._bus.nc.stats["reconnects"]
            if reconnects == self._healed or not self._bus.nc.is_connected:
                continue
            try:
                # Answered after the server has taken the subscriptions: from then on nothing is missed.
                await self._bus.nc.flush(timeout=FLUSH_S)
                await _heal([held for held in self._answers.held if held.opening is None])
            except (AskfleetError, NatsError, TimeoutError, OSError) as error:
                log.info("can't read the logs yet; trying again", action="heal_failed", error=str(error))
            else:
                self._healed = reconnects

    async def _heal_silent(self, open_: Sequence[Held]) -> None:
        now = asyncio.get_running_loop().time()
        silent = [held for held in open_ if now - held.feed.heard_at > self._settings.heal_idle_s]
        for held in silent:
            held.feed.heard_at = now
        try:
            await _heal(silent)
        except AskfleetError as error:
            log.warning("silent answers were not read", action="heal_failed", error=str(error))

    async def _sweep(self, held: Held) -> None:
        now = time.monotonic()
        if held.feed.ended:
            held.ended_at = held.ended_at or now
            idle_s = now - max(held.ended_at, held.unread_since)
            if held.readers == 0 and idle_s > self._settings.linger_s:
                await self._answers.drop(held)
        elif held.deadline and now_ms() > held.deadline + DEADLINE_GRACE_S * 1000:
            await self._expire(held)
        elif held.readers == 0 and _abandoned(held, now):
            await self._abandon(held)

    async def _abandon(self, held: Held) -> None:
        """Cancelled, unless its client has gone on reading at another bridge."""
        if held.cancel_when_unread_s and await is_read_elsewhere(self._bus, held.key):
            held.unread_since = time.monotonic()
            return
        log.info("nobody reads this answer; cancelling it", action="abandoned", query_id=held.key.query_id)
        try:
            await cancel_query(self._bus, *held.key, waiting=True)
        except AnswerEnded:
            await held.feed.catch_up()

    async def _expire(self, held: Held) -> None:
        problem = DeadlineExceeded(
            f"The deadline {held.deadline} passed and no worker had answered."
        ).problem()
        try:
            await AnswerWriter(self._bus, *held.key).append_once(Failed(problem=problem))
        except AnswerEnded:
            await held.feed.catch_up()
        held.deadline = 0


async def _heal(open_: Sequence[Held]) -> None:
    """All at once, so that they are read together. Raises what the first that failed raised."""
    ongoing = [held.feed.catch_up() for held in open_ if not held.feed.ended]
    for result in await asyncio.gather(*ongoing, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _abandoned(held: Held, now: float) -> bool:
    limit_s = held.cancel_when_unread_s
    return limit_s is not None and now - held.unread_since > limit_s
