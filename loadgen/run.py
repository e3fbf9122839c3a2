"""A load run: asks as the scenario says, watches the system meanwhile, and makes the record."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter

import psutil
import structlog

from bus.connection import Bus
from contracts.errors import AskfleetError, Misconfigured
from loadgen.arrivals import wanted_rate
from loadgen.asking import Client
from loadgen.bridges import Address, Bridges
from loadgen.hearing import Hearing
from loadgen.http_client import HttpClient
from loadgen.mix import Mix, Order, open_loop
from loadgen.nats_client import NatsClient
from loadgen.observed import Door, End, Observed
from loadgen.openai_client import OpenAIClient
from loadgen.oracle import faults_of_reader
from loadgen.processes import MIB, OWN_NAME, cpu_seconds
from loadgen.progress import Snapshot
from loadgen.promises import Line
from loadgen.recording import BrokenPromise, Fault, Generator, Recording
from loadgen.samplers import Pids, ProcessSampler, StageSampler, interval_s
from loadgen.scenario import Closed, Scenario
from loadgen.tally import Tally

log = structlog.get_logger(__name__)

LONGEST_BURST_S = 0.005
LONGEST_SLEEP_S = 0.25
"""So soon a run notices that it is to stop."""
REFUSED_PAUSE_S = 0.2
SHOWN_S = 2.0
"""A fault that lasts for a moment is shown for so long."""
MOST_FOUND = 100


@dataclass(frozen=True)
class Site:
    """The deployment under load.

    Args:
        keys: API keys by tenant.
        bus: as an operator; without it there is no NATS door, and queues are not sampled.
        pids: of the processes to sample, those on this machine.
    """

    bridges: Sequence[Address]
    keys: Mapping[str, str] = field(default_factory=dict)
    bus: Bus | None = None
    pids: Pids = dict


class LoadRun:
    """`run` once; `snapshot` meanwhile; `recording` afterwards. Who makes faults adds them to `faults`.

    Args:
        hearing: judges against the log; without one only what clients saw is judged.
    """

    def __init__(self, scenario: Scenario, site: Site, *, hearing: Hearing | None = None) -> None:
        self._scenario = scenario
        self._site = site
        self._hearing = hearing
        self._tally = Tally()
        self._origin = perf_counter()
        self._started_at = datetime.now(UTC)
        self._cpu_before_s = 0.0
        self._cpu_s = 0.0
        self._stopped = False
        self._took_s = 0.0
        self._gave_way_at = 0.0
        self._stages: StageSampler | None = None
        self._processes: ProcessSampler | None = None
        self._found: list[BrokenPromise] = []
        self._judged: tuple[BrokenPromise, ...] | None = None
        self.faults: list[Fault] = []
        self.wrong_clock_s = 0.0
        self.unjudged = ""

    def clock(self) -> float:
        """Seconds since the start of the run."""
        return perf_counter() - self._origin

    @property
    def violations(self) -> tuple[BrokenPromise, ...]:
        """The judge's, and the answers that a client gave up on though the judge found nothing wrong."""
        judged = self._judged or tuple(self._hearing.findings if self._hearing is not None else ())
        known = {(found.tenant, found.query_id) for found in judged}
        return (*judged, *(each for each in self._found if (each.tenant, each.query_id) not in known))

    def stop(self) -> None:
        """Nobody asks any more; answers under way are read to their end."""
        self._stopped = True

    async def run(self) -> None:
        """Until the time is up, all clients have ended and all is judged.

        Raises:
            Misconfigured: no bridge is there, or one does not take a key.
        """
        bridges = Bridges(self._site.bridges)
        try:
            await self._check(bridges)
            self._begin()
            async with self._watching(), asyncio.TaskGroup() as group:
                await self._ask_all(self._clients(bridges), group)
            self._took_s = self.clock()
            self._cpu_s = _own_cpu_s() - self._cpu_before_s
        finally:
            await bridges.close()
        await self._finish_judging()

    def snapshot(self) -> Snapshot:
        tally, now = self._tally, self.clock()
        counts = tally.counts
        return Snapshot(
            elapsed_s=now,
            seconds=self._scenario.seconds,
            target_rate=wanted_rate(self._scenario, now),
            real_rate=tally.recent_rate(),
            asked=counts["asked"],
            in_flight=tally.in_flight,
            done=counts["done"],
            failed=counts["failed"],
            cancelled=counts["cancelled"],
            refused=counts["refused"],
            resumed=counts["resumed"],
            violations=len(self.violations),
            first_token=tally.all["first_token"].times(),
            first_token_recent=tally.recent_first_token(),
            stages=self._stages.depths if self._stages is not None else (),
            faults=[
                f"{fault.kind} {fault.target}".strip()
                for fault in self.faults
                if fault.t <= now < max(fault.until, fault.t + SHOWN_S)
            ],
        )

    def recording(self, command: str) -> Recording:
        tally = self._tally
        return Recording(
            command=command,
            started_at=self._started_at.isoformat(timespec="seconds"),
            seconds=round(self._took_s or self.clock(), 3),
            scenario=self._scenario.model_dump(mode="json"),
            totals=tally.totals,
            latencies=tally.all.latencies(),
            by_route={name: measures.latencies() for name, measures in sorted(tally.by_route.items())},
            by_tenant={name: measures.latencies() for name, measures in sorted(tally.by_tenant.items())},
            failures=tally.failures,
            timeline=tuple(tally.timeline),
            stages=tuple(self._stages.samples) if self._stages is not None else (),
            processes=tuple(self._processes.samples) if self._processes is not None else (),
            faults=tuple(self.faults),
            violations=self.violations,
            generator=self._generator(),
        )

    def _begin(self) -> None:
        self._origin = perf_counter()
        self._started_at = datetime.now(UTC)
        self._cpu_before_s = _own_cpu_s()

    async def _check(self, bridges: Bridges) -> None:
        doors = self._scenario.doors
        if doors.nats and self._site.bus is None:
            raise Misconfigured(
                "The scenario has clients at the NATS door, and no NATS is named.",
                remedy="Name its servers with --nats-url or AF_NATS_URL.",
            )
        if doors.http or doors.openai:
            tenants = [tenant.name for tenant in self._scenario.tenants if tenant.share]
            await HttpClient(
                bridges, self._site.keys, self._scenario, pulse=self._tally, origin=self._origin
            ).check(tenants)

    def _clients(self, bridges: Bridges) -> dict[Door, Client]:
        http = HttpClient(bridges, self._site.keys, self._scenario, pulse=self._tally, origin=self._origin)
        clients: dict[Door, Client] = {Door.HTTP: http, Door.OPENAI: OpenAIClient(http)}
        if self._site.bus is not None:
            clients[Door.NATS] = NatsClient(
                self._site.bus,
                self._scenario,
                pulse=self._tally,
                origin=self._origin,
                wrong_clock_s=lambda: self.wrong_clock_s,
            )
        return clients

    async def _ask_all(self, clients: Mapping[Door, Client], group: asyncio.TaskGroup) -> None:
        arrivals = self._scenario.arrivals
        if isinstance(arrivals, Closed):
            await self._ask_in_turns(arrivals, clients, group)
            return
        for due in open_loop(self._scenario):
            scheduled_at = self._origin + due.at_s
            await self._sleep_until(scheduled_at)
            if self._stopped:
                return
            group.create_task(self._ask(clients[due.order.door], due.order, scheduled_at))
        await self._sleep_until(self._origin + self._scenario.seconds)

    async def _ask_in_turns(
        self, arrivals: Closed, clients: Mapping[Door, Client], group: asyncio.TaskGroup
    ) -> None:
        mix = Mix(self._scenario, random.Random(self._scenario.seed))  # noqa: S311 (not for secrets)

        async def keep_asking(number: int) -> None:
            await self._sleep_until(self._origin + arrivals.ramp_s * number / arrivals.clients)
            while self.clock() < self._scenario.seconds and not self._stopped:
                order = mix.draw()
                seen = await self._ask(clients[order.door], order, perf_counter())
                if seen.end is End.REFUSED:
                    await asyncio.sleep(REFUSED_PAUSE_S)

        for number in range(arrivals.clients):
            group.create_task(keep_asking(number))

    async def _sleep_until(self, at: float) -> None:
        """A generator that is behind gives way for readers now and then, but not for each query that is due:
        one round of the loop goes over all of them, and it would only fall further behind.
        """
        if at <= perf_counter() < self._gave_way_at + LONGEST_BURST_S:
            return
        await asyncio.sleep(0)
        while (wait_s := at - perf_counter()) > 0 and not self._stopped:  # noqa: ASYNC110 (the time is awaited)
            await asyncio.sleep(min(wait_s, LONGEST_SLEEP_S))
        self._gave_way_at = perf_counter()

    async def _ask(self, client: Client, order: Order, scheduled_at: float) -> Observed:
        self._tally.start(perf_counter() - scheduled_at)
        seen = await client.ask(order, scheduled_at=scheduled_at)
        self._tally.end(seen)
        if self._hearing is not None:
            self._hearing.hear(seen.witness)
        self._judge_alone(seen)
        return seen

    def _judge_alone(self, seen: Observed) -> None:
        """What can be said without the log."""
        witness = seen.witness
        faults = [] if self._hearing is not None else [(f.line, f.detail) for f in faults_of_reader(witness)]
        if seen.end in (End.LOST, End.STUCK):
            detail = f"{seen.end.value}: a client saw no end, its last event was {len(witness.seen)}"
            faults.append((Line.ONE_TERMINAL, detail))
        for line, detail in faults[:1] if len(self._found) < MOST_FOUND else ():
            events = tuple(event.data.decode(errors="replace") for event in witness.seen)
            self._found.append(
                BrokenPromise(
                    query_id=witness.query_id, tenant=witness.tenant, line=line, detail=detail, log=events
                )
            )

    async def _finish_judging(self) -> None:
        if self._hearing is None:
            return
        try:
            self._judged = await self._hearing.finish()
        except (AskfleetError, TimeoutError) as error:
            self.unjudged = str(error) or repr(error)
            log.error("the run could not be judged to its end", action="unjudged", error=repr(error))

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """The samplers and the clock of the time line, while the context is open."""
        every_s = interval_s(self._scenario.seconds)
        work: list[Coroutine[object, object, None]] = [self._tick_forever()]
        if self._site.bus is not None:
            self._stages = StageSampler(self._site.bus, origin=self._origin, every_s=every_s)
            work.append(self._stages.sample_forever())
        self._processes = ProcessSampler(self._pids, origin=self._origin, every_s=every_s)
        work.append(self._processes.sample_forever())
        tasks = [asyncio.create_task(each) for each in work]
        try:
            yield
            self._tally.tick(self.clock())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _pids(self) -> Mapping[str, int]:
        return {**self._site.pids(), OWN_NAME: os.getpid()}

    async def _tick_forever(self) -> None:
        second = 0
        while True:
            second += 1
            await asyncio.sleep(max(0.0, self._origin + second - perf_counter()))
            self._tally.tick(float(second - 1))

    def _generator(self) -> Generator:
        counts = self._tally.counts
        ended = counts["done"] + counts["failed"] + counts["cancelled"]
        return Generator(
            late=self._tally.late.latency(),
            cpu_s=round(self._cpu_s, 3),
            cpu_ms_per_answer=round(self._cpu_s * 1e3 / ended, 3) if ended else 0.0,
            rss_mib=round(psutil.Process().memory_info().rss / MIB, 1),
        )


def _own_cpu_s() -> float:
    return cpu_seconds({OWN_NAME: os.getpid()})[OWN_NAME]
