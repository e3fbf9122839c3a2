"""What it would cost to end a worker, in steps, and which pods have to be told anew."""

from collections.abc import Iterable, Mapping

from bus.presence import Presence

STEPS = 4
"""Between a worker with one message and a full one. Few, so that a pod is patched seldom."""
STEP_COST = 100


def deletion_cost(in_work: int, concurrency: int) -> int:
    """0 when idle, up to `STEPS * STEP_COST` when all slots are taken."""
    if in_work <= 0:
        return 0
    taken = min(1.0, in_work / max(1, concurrency))
    return STEP_COST * max(1, round(STEPS * taken))


def costs_of(workers: Iterable[Presence]) -> dict[str, int]:
    """By host name, which is the name of the pod. Who takes no messages (the bridge) is not listed.

    Work for neighbouring clusters counts: it would have to be done again as well.
    """
    return {
        worker.host: deletion_cost(worker.in_work + sum(worker.helping.values()), worker.concurrency)
        for worker in workers
        if worker.host and worker.stage
    }


def changes(told: Mapping[str, int], costs: Mapping[str, int]) -> dict[str, int]:
    """What is not what was told. A pod that we told nothing may bear the mark of a process before us."""
    return {name: cost for name, cost in costs.items() if told.get(name) != cost}
