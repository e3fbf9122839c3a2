"""The judge at work: follows the durable log, the journals of engines and PostgreSQL while clients report."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import structlog

from bus import topology
from bus.answer_log import read_log
from bus.connection import Bus
from bus.envelope import MESSAGE_ID, now_ms, query_id_of
from bus.stored import read_all
from bus.subjects import AnswerKey, tenant_of
from contracts import encode
from contracts.errors import AskfleetError
from loadgen.auditor import Auditor, audit
from loadgen.engine_journal import EngineJournal
from loadgen.oracle import Evidence, Judge, Terms, Violation
from loadgen.promises import Line
from loadgen.recording import BrokenPromise
from loadgen.statements import StatementWatch
from loadgen.witness import EngineUse, Pause, Witness

log = structlog.get_logger(__name__)

SWEEP_S = 1.0
CATCH_UP_S = 10.0
MOST_LOGS = 100
"""So many violations carry their query's whole log; the rest of a flood would repeat them."""
AFTER = {
    "cancelled": Line.CANCEL_STOPS,
    "failed": Line.EXPIRED_SPENT_NOTHING,
    "done": Line.WORK_IS_ONCE,
}
"""The promise that is broken when an engine starts on an answer that has ended so."""


@dataclass(frozen=True)
class Sources:
    """Where there is more to learn than the log tells.

    Args:
        journal: folder of the simulated engines' journals, of processes on this machine.
        dsn: PostgreSQL as a role that sees other roles' statements; empty: statements are not watched.
    """

    journal: Path | None = None
    dsn: str = ""


def printed(broken: BrokenPromise) -> str:
    """What a person needs: the promise, what was seen, and the query's whole log."""
    head = f"{broken.line}: {broken.tenant}/{broken.query_id}: {broken.detail}"
    return "\n".join([head, *(f"  {event}" for event in broken.log)])


class Hearing:
    """`hear` what each client saw, `pause` around faults, `finish` at the end; `findings` grows meanwhile."""

    def __init__(self, bus: Bus, auditor: Auditor, sources: Sources, terms: Terms) -> None:
        self._bus = bus
        self._auditor = auditor
        self._judge = Judge(terms)
        self._journal = EngineJournal(sources.journal) if sources.journal is not None else None
        self.statements = StatementWatch(sources.dsn) if sources.dsn else None
        self._pauses: list[Pause] = []
        self._ended: dict[str, tuple[AnswerKey, str]] = {}
        self._since = now_ms()
        self._sweeping = asyncio.Lock()
        self.findings: list[BrokenPromise] = []

    @property
    def judged(self) -> int:
        return self._judge.judged

    def hear(self, witness: Witness) -> None:
        self._judge.hear(witness)

    def pause(self, pause: Pause) -> None:
        self._pauses.append(pause)

    async def sweep_forever(self) -> None:
        """Judges what is due. A server that is away delays it."""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self._sweep()
            except (AskfleetError, TimeoutError) as error:
                log.info("judging waits for NATS", action="judging_waits", error=repr(error))

    async def finish(self) -> tuple[BrokenPromise, ...]:
        """Wait until every query is due, judge it, and look for what refused queries left behind."""
        while self._judge.waiting_for_log:
            await asyncio.sleep(SWEEP_S / 10)
            await self._sweep()
        await self._sweep(left=await self._left(), last=True)
        return tuple(self.findings)

    async def _sweep(self, *, left: dict[AnswerKey, list[str]] | None = None, last: bool = False) -> None:
        """The log is read up to now first: what is not on it by then has not happened."""
        async with self._sweeping:
            await self._judge_due(left or {}, last=last)

    async def _judge_due(self, left: dict[AnswerKey, list[str]], *, last: bool) -> None:
        now = now_ms()
        await self._auditor.catch_up(within_s=CATCH_UP_S)
        engine = self._engine_uses(now)
        late = self._late_starts(engine)
        evidence = Evidence(
            engine,
            self.statements.uses if self.statements is not None else {},
            tuple(self._pauses),
            left,
        )
        accounts = self._auditor.accounts
        due, found = self._judge.close_due(accounts, evidence, now=now, last=last)
        for key in due:
            self._close(key)
        self._auditor.close(due)
        self._auditor.forget_foreign(now=now)
        await self._report((*late, *found, *self._auditor.late()))

    def _close(self, key: AnswerKey) -> None:
        account = self._auditor.accounts.get(key)
        if account is not None and account.terminal:
            self._ended[key.query_id] = (key, account.terminal)
        if self._journal is not None:
            self._journal.forget(key.query_id)

    def _engine_uses(self, now: int) -> dict[str, Sequence[EngineUse]]:
        """A request without an end goes on until now if its process works."""
        if self._journal is None:
            return {}
        self._journal.read()
        return {
            query_id: [use if use.ended or not _works(use) else replace(use, ended=now) for use in uses]
            for query_id, uses in self._journal.uses.items()
        }

    def _late_starts(self, engine: dict[str, Sequence[EngineUse]]) -> tuple[Violation, ...]:
        found = []
        for query_id in engine.keys() & self._ended.keys():
            key, terminal = self._ended[query_id]
            detail = f"an engine was asked long after the answer ended as {terminal!r}"
            found.append(Violation(key, AFTER[terminal], detail))
            assert self._journal is not None
            self._journal.forget(query_id)
        return tuple(found)

    async def _left(self) -> dict[AnswerKey, list[str]]:
        """The queries of which a message is in a stream of work or among the dead letters of this run."""
        found: dict[AnswerKey, list[str]] = {}
        for stream in (*topology.FAIR_STREAMS, topology.DLQ):
            for subject in stream.subjects:
                async for message in read_all(self._bus, stream.name, subject, since_ms=self._since):
                    query_id = query_id_of(message.body, message.headers.get(MESSAGE_ID, ""))
                    found.setdefault(AnswerKey(tenant_of(message.subject), query_id), []).append(stream.name)
        return found

    async def _report(self, violations: Sequence[Violation]) -> None:
        for violation in violations:
            lines: tuple[str, ...] = ()
            if len(self.findings) < MOST_LOGS:
                state = await read_log(self._bus, *violation.key)
                lines = tuple(encode(event).decode() for event in state.events)
            self.findings.append(_broken(violation, lines))


def _broken(violation: Violation, lines: tuple[str, ...]) -> BrokenPromise:
    key = violation.key
    return BrokenPromise(
        query_id=key.query_id, tenant=key.tenant, line=violation.line, detail=violation.detail, log=lines
    )


def _works(use: EngineUse) -> bool:
    """Whether the process that began the request still runs; its id may have gone to another.

    A stopped process does nothing: what it does when it wakes up has a time of its own.
    """
    try:
        process = psutil.Process(use.pid)
        began = process.create_time() * 1_000
        return began <= use.began and process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@asynccontextmanager
async def open_hearing(
    bus: Bus, sources: Sources | None = None, *, terms: Terms | None = None
) -> AsyncIterator[Hearing]:
    """Follow everything while the context is open; call `finish` inside it."""
    async with audit(bus) as auditor:
        hearing = Hearing(bus, auditor, sources or Sources(), terms or Terms())
        tasks = [asyncio.create_task(hearing.sweep_forever())]
        if hearing.statements is not None:
            tasks.append(asyncio.create_task(hearing.statements.watch_forever()))
        try:
            yield hearing
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
