"""A load run on a stack of its own while faults are made, and the verdict over it."""

import asyncio
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from bus.connection import Bus, connect
from contracts import Route
from loadgen import corpus
from loadgen.bridges import Address
from loadgen.chaos import Chaos
from loadgen.documents import Trickle
from loadgen.faults import ENGINE, Planned
from loadgen.hearing import Sources, open_hearing
from loadgen.local_stack import LocalStack, local_stack
from loadgen.openai_process import OpenAIProcess, engine_arguments, openai_process
from loadgen.oracle import Terms
from loadgen.progress import follow
from loadgen.recording import Recording
from loadgen.run import LoadRun, Site
from loadgen.scenario import (
    Arrivals,
    DoorShares,
    Habits,
    Questions,
    Scenario,
    TenantShare,
)
from loadgen.settling import Leftovers, settled

TENANTS = ("demo", "annex")
"""The second one has documents of its own and asks the same database."""
ANNEX_PASSAGES = 200
REPLICAS: Mapping[str, int] = {"bridge": 2, "generation": 2, "router": 2, "retrieval": 2, "sql": 2}
JOURNAL = "journal"
SETTLE_WITHIN_S = 60.0
DEADLINE_S = 240.0
"""Long: on a small machine it takes its time until the questions of an outage are answered."""
CALM_S = 3.0
"""Asked on for so long after the last fault."""
HABITS = Habits(
    cancel=0.05,
    cancel_after_s=(0.0, 0.8),
    resume=0.10,
    resume_after_s=(0.0, 0.8),
    pause_s=(0.0, 1.0),
    slow=0.05,
)
"""An answer takes about a second: who comes later than that finds it ended."""


@dataclass(frozen=True)
class Ground:
    """The stack of a trial: an engine and embeddings with stated timings, everything else real.

    Args:
        replicas: processes by worker; one where none is given.
        ack_wait_s: short, so that what a killed worker had is soon worked on by another.
        sample: with the sample database, its documentation and a trained router.
        tokens: of an answer; it takes `first_token_ms` and `interval_ms` for each.
        engine_server: the engine is a process of its own that workers reach over HTTP, so that it can go
            away; else there is one within each generation worker.
    """

    replicas: Mapping[str, int] = field(default_factory=lambda: REPLICAS)
    ack_wait_s: float = 5.0
    sample: bool = True
    first_token_ms: float = 100.0
    interval_ms: float = 100.0
    tokens: int = 10
    engine_server: bool = False

    def environment(self) -> dict[str, str]:
        """But for the engine."""
        return {
            # Else rows are worded without the engine, and there is nothing to take over.
            "AF_ROWS_ANSWER": "engine",
            "AF_ACK_WAIT_S": str(self.ack_wait_s),
            "AF_BRIDGE_REPLICAS": str(self.replicas.get("bridge", 1)),
        }

    def engine_within(self, journal: Path) -> dict[str, str]:
        return {
            "AF_ENGINE_KIND": "simulated",
            "AF_ENGINE_SIMULATED_FIRST_TOKEN_MS": str(self.first_token_ms),
            "AF_ENGINE_SIMULATED_INTERVAL_MS": str(self.interval_ms),
            "AF_ENGINE_SIMULATED_TOKENS": str(self.tokens),
            "AF_ENGINE_JOURNAL": str(journal),
        }

    def engine_process(self, journal: Path) -> AbstractContextManager[OpenAIProcess | None]:
        """None where the engine is within the workers."""
        if not self.engine_server:
            return nullcontext()
        arguments = engine_arguments(
            journal, first_token_ms=self.first_token_ms, interval_ms=self.interval_ms, tokens=self.tokens
        )
        return openai_process(arguments)

    def arguments(self) -> list[str]:
        """Of `askfleet up`."""
        replicas = (("--workers", f"{worker}={count}") for worker, count in self.replicas.items())
        return [*(["--demo"] if self.sample else []), *(part for pair in replicas for part in pair)]


def scenario(arrivals: Arrivals, seconds: float, *, seed: int = 7, clients: Habits | None = None) -> Scenario:
    """Every route and every door, two tenants, clients that cancel, come back and read slowly."""
    weights = {Route.DOCUMENTS: 2.0, Route.SQL: 2.0, Route.BOTH: 1.0, Route.DIRECT: 3.0}
    kinds = [Questions(weight=weight, about=route, route=route) for route, weight in weights.items()]
    return Scenario(
        seconds=seconds,
        seed=seed,
        arrivals=arrivals,
        questions=(*kinds, Questions(about=Route.DOCUMENTS), Questions(about=Route.SQL)),
        tenants=tuple(
            TenantShare(name=name, share=share) for name, share in zip(TENANTS, (2.0, 1.0), strict=True)
        ),
        doors=DoorShares(http=0.8, nats=0.2),
        clients=clients or HABITS,
        deadline_s=DEADLINE_S,
        max_tokens=64,
    )


@dataclass(frozen=True)
class Verdict:
    """`complaints` is what makes the run fail, one line each; empty when every promise was kept."""

    recording: Recording
    complaints: Sequence[str]
    leftovers: Leftovers
    documents: int = 0
    """Accepted while the run went on."""


@contextmanager
def open_ground(ground: Ground, folder: Path) -> Iterator[LocalStack]:
    """The stack while the context is open; the folder with its logs stays."""
    journal = folder / JOURNAL
    shutil.rmtree(journal, ignore_errors=True)
    with openai_process() as embeddings, ground.engine_process(journal) as engine:
        environment = {
            **ground.environment(),
            **(ground.engine_within(journal) if engine is None else _engine_at(engine.url)),
            "AF_EMBEDDER_KIND": "openai",
            "AF_EMBEDDER_URL": embeddings.url,
            "AF_EMBEDDER_MODEL": "simulated",
        }
        with local_stack(environment, arguments=ground.arguments(), tenants=TENANTS, folder=folder) as stack:
            yield stack if engine is None else replace(stack, beside={ENGINE: engine})


def _engine_at(url: str) -> dict[str, str]:
    return {"AF_ENGINE_KIND": "openai", "AF_ENGINE_URL": url, "AF_ENGINE_MODEL": "simulated"}


@dataclass(frozen=True)
class Trial:
    """What is asked, what is done to the stack meanwhile, and what is demanded beside the promises.

    Args:
        answers: the asking stops after so many; 0: when the scenario's time is up.
        with_faults: the asking stops soon after the last fault.
        no_failures: an answer that failed is a complaint.
        document_every_s: from one document for the index to the next; 0: none.
        console: shows the run while it goes on.
    """

    scenario: Scenario
    planned: Sequence[Planned] = ()
    answers: int = 0
    with_faults: bool = False
    no_failures: bool = False
    document_every_s: float = 4.0
    console: Console | None = None

    async def hold(self, stack: LocalStack, *, command: str) -> Verdict:
        """Run it, wait until all is settled, judge it.

        Raises:
            AskfleetError: the stack did not come back after a fault, or could not be asked.
        """
        await corpus.ingest(corpus.make(ANNEX_PASSAGES), stack.operator, tenant=TENANTS[1])
        sources = Sources(stack.folder.parent / JOURNAL, stack.sql_dsn)
        async with (
            connect(stack.operator, name="trial") as bus,
            open_hearing(bus, sources, terms=Terms(grace_s=self.scenario.grace_s)) as hearing,
        ):
            run = LoadRun(self.scenario, _site(stack, bus), hearing=hearing)
            chaos = Chaos(
                stack.processes,
                self.planned,
                clock=run.clock,
                faults=run.faults,
                on_pause=hearing.pause,
                on_step=partial(setattr, run, "wrong_clock_s"),
            )
            documents = Trickle(bus, TENANTS[1], every_s=self.document_every_s)
            await self._run(run, chaos, documents)
            left = await settled(bus, within_s=SETTLE_WITHIN_S)
            unindexed = await documents.missing()
        complaints = [*self._complaints(run), *(f"left in a queue: {words}" for words in left.queues)]
        complaints += [f"accepted and not indexed: {document}" for document in unindexed]
        return Verdict(run.recording(command), complaints, left, documents=len(documents.accepted))

    async def _run(self, run: LoadRun, chaos: Chaos, documents: Trickle) -> None:
        beside = [asyncio.create_task(self._stop_after_answers(run))] if self.answers else []
        if self.document_every_s > 0:
            beside.append(asyncio.create_task(documents.publish_forever()))
        if self.console is not None:
            beside.append(asyncio.create_task(follow(self.console, run.snapshot)))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(run.run())
                group.create_task(self._act(run, chaos))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _act(self, run: LoadRun, chaos: Chaos) -> None:
        await chaos.run()
        await chaos.recover()
        if self.with_faults:
            await asyncio.sleep(CALM_S)
            run.stop()

    async def _stop_after_answers(self, run: LoadRun) -> None:
        while run.snapshot().ended < self.answers:  # noqa: ASYNC110 (the run only counts)
            await asyncio.sleep(0.1)
        run.stop()

    def _complaints(self, run: LoadRun) -> list[str]:
        totals = run.recording("").totals
        complaints = [
            f"{violation.line}: {violation.tenant}/{violation.query_id}: {violation.detail}"
            for violation in run.violations
        ]
        counted = {"lost": totals.lost, "stuck": totals.stuck, "unsettled": totals.unsettled}
        if self.no_failures:
            counted["failed"] = totals.failed
        complaints += [f"{count} {what}" for what, count in counted.items() if count]
        if totals.done + totals.failed + totals.cancelled < self.answers:
            complaints.append(f"only {totals.done} of {self.answers} answers in {self.scenario.seconds:g} s")
        if run.unjudged:
            complaints.append(f"not judged to the end: {run.unjudged}")
        return complaints


def _site(stack: LocalStack, bus: Bus) -> Site:
    def pids() -> dict[str, int]:
        return {name: process.pid for name, process in stack.processes.alive().items()}

    return Site([Address.of(url) for url in stack.bridge_urls], stack.keys, bus, pids)
