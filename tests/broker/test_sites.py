"""Three clusters that help each other, on the NATS configuration of their topology; a judge for each.

Servers and workers are processes of their own and die by SIGKILL. The engines are simulated.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fleets import cluster, topology
from sites import Nursery, Pace, Sites

from bus.answer_log import read_log
from bus.asking import publish_query
from bus.connection import Bus
from bus.envelope import now_ms
from bus.overview import read_overview
from bus.testing import eventually
from contracts import Done, Query, Route
from loadgen.engine_journal import EngineJournal
from loadgen.hearing import Hearing, open_hearing
from loadgen.hearing import Sources as Seen
from loadgen.oracle import Terms
from loadgen.witness import Outcome, Witness

TENANT = "default"
NAMES = ("north", "south", "west")
ROLES = ("router", "retrieval", "generation-default")


@dataclass
class Run:
    """Questions at each cluster, and what became of them."""

    sites: Sites
    buses: dict[str, Bus]
    hearings: dict[str, Hearing]
    asked: dict[str, list[str]] = field(default_factory=dict)

    async def ask(self, name: str, number: int, *, deadline_s: float = 40) -> None:
        for _ in range(number):
            identity = f"{name}-{len(self.asked.setdefault(name, []))}"
            self.asked[name].append(identity)
            deadline = now_ms() + int(deadline_s * 1000)
            query = Query(id=identity, question="When does the office open?", route=Route.DOCUMENTS)
            await publish_query(self.buses[name], TENANT, query, deadline=deadline)
            self.hearings[name].hear(Witness(TENANT, identity, Outcome.ACCEPTED, deadline))

    async def ended(self, name: str, *, within_s: float = 60) -> None:
        """All that was asked at a cluster is answered."""

        async def all_done() -> bool:
            logs = [await read_log(self.buses[name], TENANT, identity) for identity in self.asked[name]]
            return all(isinstance(found.terminal, Done) for found in logs)

        await eventually(all_done, within_s=within_s, every_s=0.2)

    async def judged(self, *names: str) -> None:
        """Nothing lost and no promise broken."""
        for name in names:
            assert await self.hearings[name].finish() == ()
            assert self.hearings[name].judged == len(self.asked[name])
            print(f"asked at {name}: {len(self.asked[name])}; engines asked: {dict(self.worked(name))}")

    def worked(self, name: str) -> Counter[str]:
        """By cluster: how many requests its engines had of what was asked at one."""
        return Counter(
            self.sites.cluster_of[use.pid]
            for identity, uses in self._uses().items()
            for use in uses
            if identity in self.asked[name]
        )

    def twice(self) -> list[str]:
        """Questions that engines wrote whole more than once; where something died, that is left to the judge:
        an engine may have come to the end of an answer whose log was away."""
        return [
            identity
            for identity, uses in self._uses().items()
            if sum(1 for use in uses if use.ended and not use.aborted) > 1
        ]

    def _uses(self):  # type: ignore[no-untyped-def]
        journal = EngineJournal(self.sites.journal)
        journal.read()
        return journal.uses


@asynccontextmanager
async def three_clusters(folder: Path, nursery: Nursery, *, pace: Pace) -> AsyncIterator[Run]:
    clusters = {name: cluster(name) for name in NAMES}
    spill = [
        {"cluster": name, "to": [other for other in NAMES if other != name], "roles": ROLES} for name in NAMES
    ]
    sites = Sites(topology(clusters=clusters, spill=spill), folder, folder / "journal", nursery, pace)
    async with AsyncExitStack() as stack:
        stack.callback(sites.close)
        await sites.start()
        buses, hearings = {}, {}
        for name in NAMES:
            buses[name] = await stack.enter_async_context(sites.connection(name))
            seen = Seen(journal=sites.journal)
            terms = Terms(grace_s=3.0, settle_s=0.5)
            hearings[name] = await stack.enter_async_context(open_hearing(buses[name], seen, terms=terms))
        yield Run(sites, buses, hearings)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


@pytest.fixture
def pace() -> Pace:
    return Pace()


@pytest.fixture
async def run(tmp_path: Path, nursery: Nursery, pace: Pace) -> AsyncIterator[Run]:
    (tmp_path / "journal").mkdir()
    async with three_clusters(tmp_path, nursery, pace=pace) as found:
        yield found


async def test_work_stays_where_it_was_asked_while_slots_are_free(run: Run) -> None:
    await asyncio.gather(*(run.sites.start_workers(name) for name in NAMES))
    for _ in range(10):
        await run.ask("north", 1)
        await run.ended("north")
    assert run.worked("north")["north"] >= 9
    await run.judged("north")


async def test_what_a_cluster_can_not_work_on_at_once_goes_to_its_neighbours(run: Run) -> None:
    await asyncio.gather(
        run.sites.start_workers("north", slots=2),
        run.sites.start_workers("south"),
        run.sites.start_workers("west"),
    )
    await asyncio.gather(run.ask("north", 60), run.ask("south", 5))
    await run.ended("north")
    await run.ended("south")
    worked = run.worked("north")
    assert worked.total() == 60, "each answer was written once"
    assert worked["north"] >= 5
    assert worked["south"] >= 5
    assert worked["west"] >= 5
    assert run.twice() == []
    await run.judged("north", "south")


async def test_an_overview_tells_of_guests_and_of_work_for_neighbours(run: Run) -> None:
    """North has no worker of its own: what waits there is done by those of its neighbours."""
    await asyncio.gather(run.sites.start_workers("south"), run.sites.start_workers("west"))
    helping: set[str] = set()

    async def seen_at_work() -> bool:
        north, south = await asyncio.gather(*(read_overview(run.buses[name]) for name in ("north", "south")))
        assert north.workers == ()
        assert {stage.workers for stage in north.stages} == {0}
        assert len(south.workers) == 3, "guests are not its own"
        helping.update(found.name for found in north.guests if found.in_work and found.kind == "generation")
        return bool(helping) and any(found.helping.get("north", 0) for found in south.workers)

    await run.ask("north", 60)
    await eventually(seen_at_work, within_s=20)
    north = await read_overview(run.buses["north"])
    assert Counter(found.kind for found in north.guests) == {"router": 2, "retrieval": 2, "generation": 2}
    await run.ended("north")
    await run.judged("north")


async def test_a_cluster_without_workers_is_drained_by_its_neighbours(run: Run) -> None:
    """It loses them in the middle of answers: what they had begun goes on where they stopped."""
    await asyncio.gather(*(run.sites.start_workers(name) for name in NAMES))
    await run.ask("north", 40)
    await eventually(lambda: run.worked("north")["north"] >= 3, within_s=10)
    run.sites.kill_workers("north")
    await run.ask("north", 20)
    await run.ended("north")
    assert run.worked("north")["south"] + run.worked("north")["west"] >= 20
    await run.judged("north")


async def test_a_cluster_that_dies_stops_only_itself_and_goes_on_when_it_is_back(run: Run) -> None:
    await asyncio.gather(*(run.sites.start_workers(name, slots=4) for name in NAMES))
    await asyncio.gather(*(run.ask(name, 20) for name in NAMES))
    await eventually(lambda: run.worked("north")["west"] + run.worked("west")["west"] >= 2, within_s=10)
    run.sites.kill_workers("west")
    run.sites.kill_server("west")
    await asyncio.gather(run.ask("north", 10), run.ask("south", 10))
    await run.ended("north")
    await run.ended("south")
    run.sites.start_server("west")
    await eventually(lambda: run.buses["west"].nc.is_connected, within_s=20)
    await run.ended("west")
    await run.judged("north", "south", "west")
