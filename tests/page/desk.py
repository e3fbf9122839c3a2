"""The fleet behind the pages: router, generation and bridge are the real workers, the evidence is given here.

So a test decides what documents and database say, also what no honest one would.
"""

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import httpx
import yaml

from bus import subjects
from bus.answer_log import read_log
from bus.connection import Bus, connect
from bus.consume import Source
from bus.delivery import Delivery
from bus.evidence import join_evidence
from bus.keys import KeyFolder
from bus.permissions import FLEET_ROLES
from bus.presence import Identity, answer_pings
from bus.provision import consumer_config, provision
from bus.stage import run_stage
from bus.testing import NatsServer, eventually
from bus.topology import DLQ, GENERATE, RETRIEVE, SQL, generation_consumers
from contracts import Event, Evidence, EvidenceJob, Passage, Rows
from workers.bridge.app import serve_bridge
from workers.bridge.settings import BridgeSettings
from workers.engines import EngineSettings
from workers.generation.app import make as make_generation
from workers.generation.settings import GenerationSettings
from workers.ops.app import serve_ops
from workers.ops.settings import OpsSettings
from workers.router.app import make as make_router
from workers.router.settings import RouterSettings
from workers.shell.tenants import key_digest

KEY, LIMITED_KEY, OPERATOR_KEY = "key-of-acme", "limited-key", "key-of-the-operator"
TENANT = "acme"
PACE = {"ack_wait_s": 5.0, "publish_timeout_s": 2.0}
NOWHERE = "postgresql://127.0.0.1:9/none"
SLOW, ASLEEP, ABSENT = "slow", "asleep", "large"
"""Models: one that writes for seconds, two that nobody serves."""
SAMPLES = (
    "How long do refunds take?",
    "Which regions sold the most this year?",
    "How many orders came in each month?",
    "What must I send back with a broken lamp?",
)

REFUND = Passage(
    chunk_id="refunds-1",
    document_id="refunds.md",
    title="Refunds",
    heading_path=("Refunds", "How long they take"),
    source="handbook/refunds.md",
    text="Refunds are paid back to the original card within 14 days after the parcel has reached our depot.",
    score=0.9,
)
RETURNS = Passage(
    chunk_id="returns-1",
    document_id="returns.md",
    title="Returns",
    heading_path=("Returns", "What to send back"),
    source="https://handbook.example.org/returns",
    text="Send the lamp back in its box, with the receipt and the number of the order on the outside.",
    score=0.7,
)
SALES = Rows(
    statement="SELECT region, sum(amount) AS revenue\nFROM orders\nGROUP BY region\nORDER BY revenue DESC",
    columns=("region", "revenue"),
    rows=(("North", 48210.5), ("West", 39120), ("South", 21874.25), ("East", 9650)),
    took_ms=6.0,
)
MARKUP = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><svg onload="window.hacked=1">'
HOSTILE = Passage(
    chunk_id=MARKUP,
    document_id=MARKUP,
    title=f"Title {MARKUP}",
    heading_path=(MARKUP, "x"),
    source="javascript:window.hacked=1",
    text=f"{MARKUP} [click](javascript:window.hacked=1) **bold** `code` {MARKUP}",
    score=1.0,
)
HOSTILE_ROWS = Rows(
    statement=f"select '{MARKUP}'",
    columns=(MARKUP, "n"),
    rows=((MARKUP, 1), ("</td></table><b>", 2)),
    reason=MARKUP,
)


@dataclass
class Desk:
    """`bus` has the rights of an operator, each worker those of its own role."""

    bus: Bus
    keys: KeyFolder
    port: int = 0
    operator_port: int = 0
    folder: Path = Path()
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def operator_url(self) -> str:
        return f"http://127.0.0.1:{self.operator_port}/ops"

    @property
    def _tenants(self) -> Path:
        return self.folder / "tenants.yaml"

    async def log(self, query_id: str) -> tuple[Event, ...]:
        return (await read_log(self.bus, TENANT, query_id)).events

    async def ask(self, question: str, **options: object) -> str:
        """As a service does; returns the id once the first events are there."""
        query_id = f"q{time.time_ns()}"
        body = {"id": query_id, "question": question, "stream": True, **options}
        headers = {"authorization": f"Bearer {KEY}"}
        async with (
            httpx.AsyncClient(base_url=self.url, headers=headers) as client,
            client.stream("POST", "/v1/ask", json=body) as response,
        ):
            assert response.status_code == 200
        return query_id

    async def bury(self, body: bytes) -> None:
        """A message that no router can read ends as a dead letter."""
        before = await self.dead()
        headers = {"Nats-Msg-Id": f"broken-{time.time_ns()}"}
        await self.bus.js.publish(subjects.query(TENANT), body, headers=headers)

        async def buried() -> bool:
            return await self.dead() > before

        await eventually(buried)

    async def dead(self) -> int:
        """How many dead letters there are."""
        return (await self.bus.js.stream_info(DLQ.name)).state.messages

    async def start(self) -> None:
        self._write_tenants()
        router = RouterSettings(**self._shared(), dsn=NOWHERE)  # type: ignore[arg-type]
        await self._open.enter_async_context(make_router(router)(await self._connect("router")))
        await self._start_evidence()
        await self._start_generation("default", first_token_ms=10, interval_ms=2, tokens=40)
        await self._start_generation(SLOW, first_token_ms=30, interval_ms=40, tokens=75)
        await self._start_bridge()
        await self._start_ops()

    async def close(self) -> None:
        await self._open.aclose()

    async def _start_evidence(self) -> None:
        bus, database = await self._connect("retrieval"), await self._connect("sql")

        async def search(delivery: Delivery[EvidenceJob]) -> None:
            await join_evidence(bus, delivery.body, _passages(delivery.body.question), message=delivery)

        async def ask_database(delivery: Delivery[EvidenceJob]) -> None:
            await join_evidence(database, delivery.body, _rows(delivery.body.question), message=delivery)

        for own, stream, work in ((bus, RETRIEVE, search), (database, SQL, ask_database)):
            stage = run_stage(own, Source.of(stream, 8), EvidenceJob, work, drain_grace_s=0.1)
            await self._open.enter_async_context(stage)

    async def _start_generation(
        self, model: str, *, first_token_ms: float, interval_ms: float, tokens: int
    ) -> None:
        engine = EngineSettings(
            kind="simulated",
            simulated_first_token_ms=first_token_ms,
            simulated_interval_ms=interval_ms,
            simulated_tokens=tokens,
        )
        settings = GenerationSettings(**self._shared(), engine=engine, model=model)  # type: ignore[arg-type]
        await self._open.enter_async_context(make_generation(settings)(await self._connect("generation")))

    def _write_tenants(self) -> None:
        keys = [
            {"sha256": key_digest(KEY)},
            {"sha256": key_digest(LIMITED_KEY), "requests_per_s": 0.5, "burst": 1},
        ]
        self._tenants.write_text(yaml.safe_dump({"tenants": {TENANT: {"keys": keys}}}))

    async def _start_bridge(self) -> None:
        settings = BridgeSettings(
            **self._shared(),  # type: ignore[arg-type]
            models=f"default,{SLOW},{ASLEEP},{ABSENT}",
            sample_questions="|".join(SAMPLES),
        )
        self.port, _ = await self._open.enter_async_context(
            serve_bridge(await self._connect("bridge"), settings)
        )

    async def _start_ops(self) -> None:
        settings = OpsSettings(
            **self._shared(),  # type: ignore[arg-type]
            ops_key_sha256=key_digest(OPERATOR_KEY),
            trace_link="http://127.0.0.1:9/traces/{trace_id}",
            scaling_targets="generation-default=80",
        )
        ops = serve_ops(await self._connect("ops"), settings)
        self.operator_port, _ = await self._open.enter_async_context(ops)

    def _shared(self) -> dict[str, object]:
        return PACE | {"drain_grace_s": 0.1, "tenants_file": self._tenants}

    async def _connect(self, kind: str) -> Bus:
        """A connection that answers pings as the process of a worker does."""
        settings = self.keys.settings(self.bus.settings.nats_url, kind).model_copy(update=PACE)
        bus = await self._open.enter_async_context(connect(settings, name=kind))
        identity = Identity(kind, version=metadata.version("askfleet"))
        await self._open.enter_async_context(answer_pings(bus, identity, lambda: {"nats": True}))
        return bus


def _passages(question: str) -> Evidence:
    if "hostile" in question:
        return Evidence(passages=(HOSTILE,))
    return Evidence() if "capital" in question else Evidence(passages=(REFUND, RETURNS), took_ms=12.0)


def _rows(question: str) -> Rows:
    if "hostile" in question:
        return HOSTILE_ROWS
    return Rows(confidence="none", reason="No table knows of it.") if "capital" in question else SALES


@asynccontextmanager
async def open_desk() -> AsyncIterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="askfleet-page-") as folder:
        keys = KeyFolder(Path(folder) / "keys")
        public = keys.ensure((role.name for role in FLEET_ROLES), (TENANT,))
        server = NatsServer(Path(folder) / "nats", permissions=public).start()
        try:
            settings = keys.settings(server.url, "operator").model_copy(update=PACE)
            async with connect(settings, name="page-tests") as bus:
                await provision(bus.js, settings)
                for model in (SLOW, ASLEEP, ABSENT):
                    for consumer in generation_consumers(model):
                        await bus.js.add_consumer(GENERATE.name, consumer_config(consumer, settings))
                desk = Desk(bus, keys, folder=Path(folder))
                try:
                    await desk.start()
                    yield desk
                finally:
                    await desk.close()
        finally:
            server.stop()
