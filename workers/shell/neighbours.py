"""A stage at work in its own cluster and, with the slots that it has free, for neighbouring clusters.

A question lives where it was accepted: the worker connects to that cluster's streams (`bus.sites`) and works
there as that cluster's own workers do. Nothing is copied between clusters, so nothing is worked on twice.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from importlib import metadata

import structlog

from bus.connection import Bus, connect
from bus.consume import PullLoop, Source
from bus.guests import SharedSlots
from bus.presence import Identity, answer_pings
from bus.topology import STAGES
from bus.vitals import Vitals
from contracts.errors import AskfleetError, Misconfigured
from workers.shell.settings import WorkerSettings

log = structlog.get_logger(__name__)

Serve = Callable[[Bus, Source], AbstractAsyncContextManager[PullLoop]]
"""Opens the stage on a bus."""
RETRY_S = 10.0


@dataclass(frozen=True)
class Neighbour:
    cluster: str
    place: int


def neighbours_of(settings: WorkerSettings) -> tuple[Neighbour, ...]:
    named = (part.partition(":") for part in settings.neighbours.split(",") if part)
    return tuple(Neighbour(cluster, int(place)) for cluster, _, place in named)


@asynccontextmanager
async def serve_stage(
    bus: Bus, source: Source, serve: Serve, *, settings: WorkerSettings
) -> AsyncIterator[PullLoop]:
    """Yields the loop of our own cluster. A neighbour that can't be reached is tried again, and no hindrance.

    Raises:
        Misconfigured: neighbours are named, but no folder of keys.
    """
    neighbours = neighbours_of(settings)
    if not neighbours:
        async with serve(bus, source) as loop:
            yield loop
        return
    if settings.neighbour_keys is None:
        raise Misconfigured(
            f"AF_NEIGHBOURS is {settings.neighbours!r}, and AF_NEIGHBOUR_KEYS is not set.",
            remedy="Name the folder with one seed for each neighbour; docs/fleet.md tells how they are made.",
        )
    slots = SharedSlots(source.concurrency, settings.neighbour_share, len(neighbours))
    stopped = asyncio.Event()
    helping = [
        asyncio.create_task(_help(_Helping(bus, source, serve, settings, slots), found, stopped))
        for found in neighbours
    ]
    try:
        async with serve(bus, slots.at_home(source)) as home:
            slots.home = home
            try:
                yield home
            finally:
                stopped.set()  # so that all drain at the same time
    finally:
        stopped.set()
        await asyncio.gather(*helping, return_exceptions=True)


@dataclass(frozen=True)
class _Helping:
    bus: Bus
    source: Source
    serve: Serve
    settings: WorkerSettings
    slots: SharedSlots


async def _help(parts: _Helping, neighbour: Neighbour, stopped: asyncio.Event) -> None:
    while not stopped.is_set():
        try:
            await _help_once(parts, neighbour, stopped)
        except AskfleetError as error:
            log.warning(
                "can't help a neighbour; trying again",
                action="help_failed",
                neighbour=neighbour.cluster,
                error=str(error),
            )
            await _pause(stopped)
        except Exception:  # the edge of a loop: work at home goes on
            log.exception("helping a neighbour failed", action="help_failed", neighbour=neighbour.cluster)
            await _pause(stopped)


async def _help_once(parts: _Helping, neighbour: Neighbour, stopped: asyncio.Event) -> None:
    assert parts.settings.neighbour_keys is not None
    key = parts.settings.neighbour_keys / f"{neighbour.cluster}.nk"
    settings = parts.settings.model_copy(update={"nats_nkey_file": key, "nats_credentials": None})
    source = parts.slots.away(parts.source, priority=neighbour.place)
    async with connect(settings, name=f"askfleet-guest-{neighbour.cluster}", spans=parts.bus.spans) as found:
        theirs = replace(found, vitals=Vitals(observers=parts.bus.vitals.observers))
        identity = Identity(_stage(source), version=metadata.version("askfleet"), guest=True)
        async with (
            parts.serve(theirs, source) as loop,
            answer_pings(theirs, identity, lambda: {"nats": found.nc.is_connected}),
        ):
            parts.slots.guests.append(loop)
            log.info("helping a neighbour", action="helping", neighbour=neighbour.cluster)
            try:
                with parts.bus.vitals.helps(neighbour.cluster, loop):
                    await stopped.wait()
            finally:
                parts.slots.guests.remove(loop)


def _stage(source: Source) -> str:
    return next(stage for stage, stream in STAGES.items() if stream.name == source.stream)


async def _pause(stopped: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(RETRY_S):
            await stopped.wait()
    except TimeoutError:
        return
