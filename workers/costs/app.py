"""Asks the workers how busy they are and marks their pods, so that scale-in takes idle ones.

When a Deployment gets smaller, Kubernetes ends the pods with the lowest deletion cost first. Workers answer a
ping with what they have in work; only this process holds the right to patch pods, with the role `monitor` on
NATS. A mark is up to `costs_every_s` old: a worker that took work meanwhile still drains, as always.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from bus.connection import Bus
from bus.presence import gather_presences
from contracts.errors import AskfleetError
from workers.costs.costs import changes, costs_of
from workers.costs.pods import Pods, open_pods
from workers.costs.settings import CostSettings
from workers.shell.http import Ready
from workers.shell.process import Open

log = structlog.get_logger(__name__)


class Marks:
    """What was told of each pod; a worker that does not answer any more is forgotten."""

    def __init__(self, bus: Bus, pods: Pods) -> None:
        self._bus, self._pods = bus, pods
        self._told: dict[str, int] = {}
        self._elsewhere: set[str] = set()

    async def refresh(self) -> dict[str, int]:
        """Mark what changed; returns it. Raises DependencyUnavailable or Misconfigured."""
        costs = costs_of(await gather_presences(self._bus))
        self._told = {name: cost for name, cost in self._told.items() if name in costs}
        self._elsewhere &= set(costs)
        changed = changes(self._told, {n: cost for n, cost in costs.items() if n not in self._elsewhere})
        for pod, cost in changed.items():
            if await self._pods.set_deletion_cost(pod, cost):
                self._told[pod] = cost
            else:
                log.info("a worker runs in no pod of this namespace", action="pod_elsewhere", host=pod)
                self._elsewhere.add(pod)
        return changed


async def _watch(marks: Marks, every_s: float) -> None:
    while True:
        try:
            changed = await marks.refresh()
        except AskfleetError as error:
            log.warning(
                "pods keep their old marks; scale-in may take a busy one",
                action="costs_failed",
                error=str(error),
            )
        else:
            if changed:
                log.info("pods are marked", action="costs_told", pods=len(changed))
        await asyncio.sleep(every_s)


def make(settings: CostSettings) -> Open:
    @asynccontextmanager
    async def open_costs(bus: Bus) -> AsyncIterator[Ready]:
        async with open_pods(settings) as pods:
            task = asyncio.create_task(_watch(Marks(bus, pods), settings.costs_every_s))
            try:
                yield lambda: {"watching": not task.done()}
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    return open_costs
