"""When a full queue will have room: from how fast it drains, a place in line for each refused client."""

import asyncio
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from bus.connection import Bus
from bus.topology import ROUTE

log = structlog.get_logger(__name__)

SAMPLE_S = 1.0
WATCH_S = 10.0
"""The queue is watched from a refusal on for so long."""
FIRST_GUESS_S = 2.0
LEAST_S = 1.0
LONGEST_S = 60.0
JITTER = 0.2
RECENT = 0.5
"""Weight of the newest sample in the rate."""


@dataclass(frozen=True)
class Sample:
    """`left` counts the messages that have left the queue since it was made."""

    at: float
    left: int


class Drain:
    """The rate at which messages leave, from samples; None until there are two."""

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._moved_at = 0.0
        self.per_s: float | None = None

    def note(self, sample: Sample) -> None:
        before, self._last = self._last, sample
        if before is None or sample.left < before.left:
            self._moved_at = sample.at
            return
        rate = (sample.left - before.left) / max(0.001, sample.at - before.at)
        self.per_s = rate if self.per_s is None else self.per_s + RECENT * (rate - self.per_s)
        if sample.left > before.left:
            self._moved_at = sample.at

    def stalled_s(self, now: float) -> float:
        """How long nothing has left."""
        return now - self._moved_at if self._last is not None else 0.0


class Places:
    """A place in the line for each refused client, so that they come back as the queue drains."""

    def __init__(self, drain: Drain, *, replicas: int, clock: Callable[[], float]) -> None:
        self._drain = drain
        self._replicas = replicas
        self._clock = clock
        self._next = 0.0

    def wait_s(self) -> float:
        """Seconds until there should be room, without jitter, within the bounds."""
        now = self._clock()
        if self._drain.per_s is None:
            return FIRST_GUESS_S
        stalled_s = self._drain.stalled_s(now)
        if stalled_s > 2 * SAMPLE_S:
            return min(LONGEST_S, max(FIRST_GUESS_S, stalled_s))
        rate = max(self._drain.per_s, 1.0 / LONGEST_S) / self._replicas
        self._next = min(now + LONGEST_S, max(now, self._next) + 1.0 / rate)
        return max(LEAST_S, self._next - now)


class Pressure:
    """Watches the queue while it refuses; costs nothing otherwise."""

    def __init__(self, bus: Bus, *, replicas: int) -> None:
        self._bus = bus
        self._drain = Drain()
        self._places = Places(self._drain, replicas=replicas, clock=time.monotonic)
        self._refused_at = 0.0
        self._watching: asyncio.Task[None] | None = None

    def refused(self) -> float:
        """Seconds after which a client that was just refused should come again: whole, 1 to 60."""
        self._refused_at = time.monotonic()
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        return jittered(self._places.wait_s())

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        while time.monotonic() - self._refused_at < WATCH_S:
            try:
                state = (await self._bus.js.stream_info(ROUTE.name)).state
            except (APIError, NatsError, TimeoutError, OSError) as error:
                log.warning("can't see how the queue drains", action="pressure_unknown", error=repr(error))
            else:
                self._drain.note(Sample(time.monotonic(), state.last_seq - state.messages))
            await asyncio.sleep(SAMPLE_S)


def jittered(wait_s: float) -> float:
    """Up to a fifth later, and by chance to the second above or below: clients do not come back in step."""
    spread = wait_s * random.uniform(1.0, 1.0 + JITTER)  # noqa: S311 (not for secrets)
    whole = math.floor(spread + random.random())  # noqa: S311
    return float(min(LONGEST_S, max(LEAST_S, whole)))
