"""All stages in one process on a real nats-server, with clients and the judge beside them.

Router, generation and bridge are the real workers; search and database are stand-ins behind the real bus.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from clients import Relay

from bus.answer_log import read_log
from bus.asking import cancel_query, publish_query
from bus.connection import Bus, connect
from bus.consume import Source
from bus.delivery import Delivery
from bus.envelope import now_ms
from bus.evidence import give_up_evidence, join_evidence, standing_evidence
from bus.settings import BusSettings
from bus.spans import Spans
from bus.stage import run_stage
from bus.testing import eventually
from bus.topology import RETRIEVE, SQL
from contracts import Evidence, EvidenceJob, Passage, Query, Route, Rows
from loadgen.hearing import Hearing
from loadgen.sse import Connection, Reply, frames
from loadgen.witness import Outcome, Pause, Seen, Witness
from workers.bridge.app import serve_bridge
from workers.bridge.settings import BridgeSettings
from workers.engines import EngineSettings
from workers.generation.app import make as make_generation
from workers.generation.settings import GenerationSettings
from workers.router.app import make as make_router
from workers.router.settings import RouterSettings

TENANT = "default"
QUESTION = "When does the harbour office open in the morning?"
PASSAGE = Passage(
    chunk_id="c1",
    document_id="d1",
    title="Harbour office",
    source="harbour.md",
    text="The harbour office opens at seven in the morning and closes at noon on every working day.",
    score=1.0,
)
ROWS = Rows(statement="select 1", columns=("ships",), rows=((12,),))
EVENTS = {"accept": "text/event-stream", "content-type": "application/json"}
NOWHERE = "postgresql://127.0.0.1:9/none"


@dataclass(frozen=True)
class Pace:
    """Of the simulated engine: about a third of a second an answer unless told otherwise."""

    first_token_ms: float = 20
    interval_ms: float = 10
    tokens: int = 30


@dataclass
class Tie:
    """A worker's connection: `cut` makes it a process that was stopped, as far as NATS can tell."""

    relay: Relay
    bus: Bus
    whole: bool = True

    async def cut(self) -> None:
        await self.relay.cut()
        self.whole = False

    async def restore(self) -> None:
        if not self.whole:
            await self.relay.open()
            self.whole = True
            await eventually(lambda: self.bus.nc.is_connected)


@dataclass
class MiniFleet:
    """`start_*` what a test needs; everything ends with the fleet's context."""

    bus: Bus
    hearing: Hearing
    journal: Path
    pace: Pace = Pace()
    database_s: float = 0.0
    spans: Spans | None = None
    trace_link: str = ""
    port: int = 0
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)
    _asked: int = 0

    async def start_all(self) -> None:
        await self.start_router()
        await self.start_evidence()
        await self.start_generation()
        await self.start_bridge()

    async def start_router(self) -> None:
        settings = RouterSettings(**self._shared(), dsn=NOWHERE)  # type: ignore[arg-type]
        await self._open.enter_async_context(make_router(settings)(await self._connect()))

    async def start_generation(self, bus: Bus | None = None, *, engine_url: str = "") -> None:
        """`engine_url`: of an OpenAI-compatible server; else the engine is within the worker."""
        engine = EngineSettings(
            url=engine_url or "http://127.0.0.1:9/v1",
            kind="openai" if engine_url else "simulated",
            simulated_first_token_ms=self.pace.first_token_ms,
            simulated_interval_ms=self.pace.interval_ms,
            simulated_tokens=self.pace.tokens,
            journal=self.journal,
        )
        settings = GenerationSettings(**self._shared(), engine=engine)  # type: ignore[arg-type]
        await self._open.enter_async_context(make_generation(settings)(bus or await self._connect()))

    async def start_bridge(self) -> None:
        settings = BridgeSettings(**self._shared(), trace_link=self.trace_link)  # type: ignore[arg-type]
        self.port, _ = await self._open.enter_async_context(serve_bridge(await self._connect(), settings))

    async def start_evidence(self) -> None:
        bus = await self._connect()

        async def search(delivery: Delivery[EvidenceJob]) -> None:
            event = await standing_evidence(bus, delivery, Evidence)
            found = event if isinstance(event, Evidence) else Evidence(passages=(PASSAGE,))
            await join_evidence(bus, delivery.body, found, message=delivery)

        async def ask_database(delivery: Delivery[EvidenceJob]) -> None:
            await asyncio.sleep(self.database_s)
            event = await standing_evidence(bus, delivery, Rows)
            found = event if isinstance(event, Rows) else ROWS
            await join_evidence(bus, delivery.body, found, message=delivery)

        for stream, kind, work in ((RETRIEVE, Evidence, search), (SQL, Rows, ask_database)):
            tell = give_up_evidence(bus, kind)
            source = Source.of(stream, 8)
            await self._open.enter_async_context(
                run_stage(bus, source, EvidenceJob, work, drain_grace_s=0.1, give_up=tell)
            )

    async def start_generation_behind_relay(self) -> "Tie":
        """A worker whose connection to NATS can be cut; whole again before it ends, so that it can leave."""
        relay = await Relay(int(urlsplit(self.bus.settings.nats_url).port or 0)).open()
        self._open.push_async_callback(relay.cut)
        bus = await self._connect(f"nats://127.0.0.1:{relay.port}")
        tie = Tie(relay, bus)
        await self.start_generation(bus)
        self._open.push_async_callback(tie.restore)
        return tie

    def query(self, route: Route = Route.DOCUMENTS, question: str = QUESTION) -> Query:
        self._asked += 1
        return Query(id=f"q{self._asked}", question=question, route=route)

    async def publish(self, query: Query, *, deadline_s: float = 20, times: int = 1) -> Witness:
        """By the NATS door; nobody reads the answer."""
        deadline = now_ms() + int(deadline_s * 1000)
        for _ in range(times):
            await publish_query(self.bus, TENANT, query, deadline=deadline)
        witness = Witness(TENANT, query.id, Outcome.ACCEPTED, deadline)
        self.hearing.hear(witness)
        return witness

    async def ask(self, query: Query, *, deadline_s: float = 20, break_after: int | None = None) -> Witness:
        """By the HTTP door, read to the end. `break_after`: drop the connection behind that event, resume."""
        asked_at = now_ms()
        body = {"id": query.id, "question": query.question, "route": query.route, "deadline_s": deadline_s}
        reply = await self._request("POST", "/v1/ask", body=body, break_after=break_after)
        seen = _seen(reply)
        if break_after is not None and not reply.complete:
            last = seen[-1].id if seen else 0
            headers = {"last-event-id": str(last)}
            reply = await self._request("GET", f"/v1/answers/{query.id}", headers=headers)
            seen += _seen(reply)
        outcome = Outcome.REFUSED if reply.status == 429 else Outcome.ACCEPTED
        deadline = asked_at + int(deadline_s * 1000)
        witness = Witness(TENANT, query.id, outcome, deadline, seen, whole=reply.complete)
        self.hearing.hear(witness)
        return witness

    async def cancel(self, query: Query) -> None:
        await cancel_query(self.bus, TENANT, query.id)

    async def events(self, query: Query, at_least: int) -> None:
        """Until so many events stand on the log."""

        async def there() -> bool:
            return len((await read_log(self.bus, TENANT, query.id)).events) >= at_least

        await eventually(there)

    async def attempts(self, query: Query, at_least: int) -> None:
        """Until so many attempts have written words."""

        async def there() -> bool:
            events = (await read_log(self.bus, TENANT, query.id)).events
            writers = {event.id.partition(":")[0] for event in events if event.type == "delta"}
            return len(writers) >= at_least

        await eventually(there)

    async def at_engine(self, query: Query) -> None:
        """Until the engine has begun with it."""
        begun = f'"start","query_id":"{query.id}"'
        await eventually(lambda: any(begun in file.read_text() for file in self.journal.glob("*.jsonl")))

    async def ended(self, query: Query) -> None:
        async def there() -> bool:
            return (await read_log(self.bus, TENANT, query.id)).terminal is not None

        await eventually(there)

    async def lines(self) -> set[str]:
        """The promises that were broken."""
        async with asyncio.timeout(20):
            return {found.line for found in await self.hearing.finish()}

    def pause(self, since: int, until: int) -> None:
        self.hearing.pause(Pause(since, until))

    async def close(self) -> None:
        await self._open.aclose()

    def _shared(self) -> dict[str, object]:
        settings = self.bus.settings.model_dump(include={"nats_url", "ack_wait_s", "publish_timeout_s"})
        return settings | {"drain_grace_s": 0.1}

    async def _connect(self, url: str = "") -> Bus:
        settings = self.bus.settings.model_copy(update={"nats_url": url} if url else {})
        return await self._open.enter_async_context(connect(settings, name="mini", spans=self.spans))

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        break_after: int | None = None,
    ) -> Reply:
        connection = await Connection.open("127.0.0.1", self.port)
        if break_after is not None:
            _break_behind(connection, break_after)
        encoded = json.dumps(body).encode() if body is not None else b""
        try:
            return await connection.request(method, path, headers=EVENTS | dict(headers or {}), body=encoded)
        finally:
            connection.close()


def _break_behind(connection: Connection, index: int) -> None:
    """Closes the connection once this event has come."""
    receive: Callable[[bytes], None] = connection.on_body

    def receive_and_break(body: bytes) -> None:
        receive(body)
        if b"id: %d\n" % index in body:
            connection.close()

    connection.on_body = receive_and_break  # type: ignore[method-assign]


def _seen(reply: Reply) -> list[Seen]:
    return [Seen(frame.id, frame.data) for frame in frames(reply)] if reply.status == 200 else []


def settings_for(nats_url: str) -> BusSettings:
    """Short waits, so that a takeover comes after a second."""
    return BusSettings(nats_url=nats_url, ack_wait_s=1.0, publish_timeout_s=0.5)


@asynccontextmanager
async def mini_fleet(bus: Bus, hearing: Hearing, journal: Path) -> AsyncIterator[MiniFleet]:
    fleet = MiniFleet(bus, hearing, journal)
    try:
        yield fleet
    finally:
        await fleet.close()
