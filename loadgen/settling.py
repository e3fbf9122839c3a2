"""Whether a system is empty after a run: no message in a queue, none unacknowledged."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bus.connection import Bus
from bus.overview import Overview, StageView, read_overview
from contracts.errors import DependencyUnavailable

POLL_S = 0.25
WITHIN_S = 5.0


@dataclass(frozen=True)
class Leftovers:
    """What is left in words, `SQL: 2 waiting, 1 in work, 3 stored`; and the dead letters by stage."""

    queues: Sequence[str]
    dead: dict[str, int]


async def settled(bus: Bus, *, within_s: float) -> Leftovers:
    """Wait until every queue is empty, at most so long.

    Raises:
        DependencyUnavailable: NATS could not be asked until the time was up.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + within_s
    while True:
        try:
            overview = await read_overview(bus, within_s=WITHIN_S, gather_s=0.0)
            left = _left(overview)
        except DependencyUnavailable:
            if loop.time() > give_up:
                raise
        else:
            if not left or loop.time() > give_up:
                return Leftovers(left, {stage: count for stage, count in overview.dead.items() if count})
        await asyncio.sleep(POLL_S)


def _left(overview: Overview) -> list[str]:
    return [_words(stage) for stage in overview.stages if stage.stored or stage.in_work or stage.problems]


def _words(stage: StageView) -> str:
    counts = f"{stage.stream}: {stage.waiting} waiting, {stage.in_work} in work, {stage.stored} stored"
    return ", ".join([counts, *stage.problems])
