"""Which tenants have so much work in the queues that theirs waits behind that of the others."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import structlog
from nats.errors import Error as NatsError

from bus import subjects
from bus.connection import Bus
from bus.topology import FAIR_STREAMS

log = structlog.get_logger(__name__)

REFRESH_S = 0.25


class Backlogs:
    """Messages of each tenant in all work queues, waiting or in work.

    The queues themselves are the state: every replica reads the same counts from the server. `note` counts
    what this replica lets through between two reads, so that a burst is seen, too.
    """

    def __init__(self, bus: Bus, *, limit: int) -> None:
        self._bus = bus
        self._limit = limit
        self._counts: Mapping[str, int] = {}
        self._noted: Counter[str] = Counter()

    def note(self, tenant: str) -> None:
        self._noted[tenant] += 1

    def exceeded(self, tenant: str) -> bool:
        """Whether this tenant has more than its fair backlog; never with a limit of 0."""
        return 0 < self._limit < self._counts.get(tenant, 0) + self._noted[tenant]

    async def refresh(self) -> None:
        found = await asyncio.gather(*(self._subjects(stream.name) for stream in FAIR_STREAMS))
        counts: Counter[str] = Counter()
        for queue in found:
            for subject, messages in queue.items():
                counts[subjects.tenant_of(subject)] += messages
        self._counts, self._noted = counts, Counter()

    async def refresh_forever(self) -> None:
        """While NATS does not answer, the counts stay as they are."""
        while self._limit > 0:
            try:
                await self.refresh()
            except (NatsError, OSError, TimeoutError) as error:
                log.warning(
                    "can't read the queues; fairness goes by older counts",
                    action="backlog_unread",
                    error=repr(error),
                )
            await asyncio.sleep(REFRESH_S)

    async def _subjects(self, stream: str) -> Mapping[str, int]:
        info = await self._bus.js.stream_info(stream, subjects_filter=">")
        return info.state.subjects or {}
