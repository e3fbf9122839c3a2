"""The whole system on one machine: servers, then streams and consumers, then workers."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psutil
import structlog

from askfleet.annotations import follow
from askfleet.embedded.milvus import MilvusServer
from askfleet.embedded.nats import NatsServer
from askfleet.embedded.phoenix import PhoenixServer
from askfleet.local.child import Child
from askfleet.local.database import Database
from askfleet.local.fork_client import ForkServer, can_fork
from askfleet.local.lock import StateLock
from askfleet.local.ports import PortBook
from askfleet.local.scaling import LocalScaling, ScalingOptions
from askfleet.local.state import ProcessRecord, StackRecord, StateFolder, write_private
from askfleet.local.supervisor import State, Status, Supervisor
from askfleet.local.tenants import ensure_tenants, operator_key_digest, public_keys
from askfleet.local.worker import worker_process
from bus.connection import connect
from bus.provision import provision
from bus.scaling import ScalingReport
from contracts.errors import Misconfigured

log = structlog.get_logger(__name__)

WORKERS = ("router", "retrieval", "sql", "generation", "ingest", "bridge", "ops")
FORMER_GRACE_S = 30.0


@dataclass(frozen=True)
class StackOptions:
    """What differs from the default stack.

    Args:
        replicas: processes by worker; one where none is given, none with 0.
        bridge_port: of the first bridge; 0 keeps the former one, or takes a free one.
        sql_dsn: a PostgreSQL to ask instead of the embedded one; its role should hold SELECT only.
        semantic_model: what people call its tables and columns; else what AF_SEMANTIC_MODEL says.
        sample_questions: what the page offers to begin with.
        phoenix: start Phoenix, and send it the traces of all questions.
        scaling: which workers follow the length of their queue; none by default.
    """

    replicas: Mapping[str, int] = field(default_factory=dict)
    bridge_port: int = 0
    sql_dsn: str | None = None
    semantic_model: Path | None = None
    sample_questions: tuple[str, ...] = ()
    phoenix: bool = False
    scaling: ScalingOptions = field(default_factory=ScalingOptions)

    def __post_init__(self) -> None:
        unknown = sorted({*self.replicas, *self.scaling.bounds} - set(WORKERS))
        if unknown:
            raise Misconfigured(
                f"There is no worker {unknown[0]!r}.", remedy=f"The workers are {', '.join(WORKERS)}."
            )
        both = sorted(set(self.replicas) & set(self.scaling.bounds))
        if both:
            raise Misconfigured(
                f"{both[0]} has a fixed number of processes and is to be scaled.", remedy="Give one of both."
            )


class Stack:
    """An async context manager: entering takes the state folder, leaving stops every process."""

    def __init__(
        self,
        state: StateFolder,
        options: StackOptions | None = None,
        *,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.state = state
        self.options = options or StackOptions()
        self._lock = StateLock(state.lock)
        self._on_change = on_change
        self._supervisor = Supervisor(on_change=self._changed, held=state.is_held)
        self._closing = False

    async def __aenter__(self) -> "Stack":
        """Raises Misconfigured when a stack runs on the folder already."""
        self._lock.__enter__()
        try:
            await self._prepare()
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    async def _prepare(self) -> None:
        await self._end_former()
        self._ports = PortBook(self.state.ports)
        self._nats = NatsServer(
            self.state.data("nats"),
            self.state.log("nats-server"),
            self._ports,
            keys=lambda: public_keys(self.state),
        )
        self._milvus = MilvusServer(self.state.data("milvus"), self.state.log("milvus"), self._ports)
        self.database = Database(self.state.data("postgres"), port=self._ports.port("postgres"))
        self._phoenix = self._make_phoenix() if self.options.phoenix else None
        self._beside: list[asyncio.Task[None]] = []
        self._bridge_ports: list[int] = []
        self._ops_url = ""
        self._scaling = LocalScaling(
            self.options.scaling, self._supervisor, self._scaled_worker, on_report=self._report
        )
        kinds = [kind for kind in WORKERS if kind in self.options.scaling.bounds or self._replicas(kind)]
        self._fork_server = ForkServer(kinds, self.state.log("fork-server")) if kinds and can_fork() else None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        try:
            await self._supervisor.stop()
        finally:
            self.state.remove_stack()
            self._lock.__exit__(kind, error, trace)

    @property
    def statuses(self) -> tuple[Status, ...]:
        return self._supervisor.statuses

    @property
    def record(self) -> StackRecord:
        return StackRecord(
            pid=psutil.Process().pid,
            bridge_urls=tuple(f"http://127.0.0.1:{port}" for port in self._bridge_ports),
            ops_url=self._ops_url,
            phoenix_url=self._phoenix.url if self._phoenix else "",
            nats_url=self._nats.url,
            nats_monitor_url=self._nats.monitor_url,
            nats_keys=self.state.nats_keys.root,
            milvus_uri=self._milvus.uri,
            sql_dsn=self.options.sql_dsn or self.database.reader_dsn,
            tenants_file=self.state.tenants,
            semantic_model=self.options.semantic_model,
            processes=tuple(_records(self.statuses)),
        )

    async def start(self) -> None:
        await self.start_servers()
        await self.start_workers()

    async def start_servers(self) -> None:
        """The servers side by side, then the streams, consumers and the read-only role."""
        ensure_tenants(self.state)
        if self._phoenix is not None:
            self._beside.append(asyncio.create_task(self._start_phoenix(self._phoenix)))
        database = () if self.options.sql_dsn else (self.database,)
        servers = self._supervisor.start(self._nats, self._milvus, *database)
        await asyncio.gather(servers, self._start_fork_server())
        if database:
            await self.database.prepare()
        settings = self.state.nats_keys.settings(self._nats.url, "provision")
        async with connect(settings, name="askfleet-up") as bus:
            await provision(bus.js, settings)

    def _make_phoenix(self) -> PhoenixServer:
        return PhoenixServer(self.state.data("phoenix"), self.state.log("phoenix"), self._ports)

    async def _start_phoenix(self, phoenix: PhoenixServer) -> None:
        """Beside the rest, since it takes longer than all of it; workers keep the first traces meanwhile."""
        try:
            await self._supervisor.start(phoenix)
        except Misconfigured as error:
            log.warning("no Phoenix, traces are lost", action="phoenix.failed", error=error.detail)
            return
        settings = self.state.nats_keys.settings(self._nats.url, "operator")
        async with connect(settings, name="askfleet-annotations") as bus:
            await follow(bus, phoenix.url)

    async def _start_fork_server(self) -> None:
        if self._fork_server is None:
            return
        try:
            await self._supervisor.start(self._fork_server)
        except Misconfigured as error:
            log.warning(
                "no fork server, each worker imports its modules for itself",
                action="fork_server.failed",
                error=error.detail,
            )

    async def start_workers(self) -> None:
        await self._supervisor.start(*self._workers(), *self._scaling.first())
        self.state.write_stack(self.record)
        if self.options.scaling.bounds:
            settings = self.state.nats_keys.settings(self._nats.url, "operator")
            running = self._scaling.run(settings, self._nats.monitor_url)
            self._beside.append(asyncio.create_task(running, name="scaling"))

    def environment(self, kind: str) -> dict[str, str]:
        """What a worker needs to know of this stack; all else comes from the caller's environment."""
        record = self.record
        addresses = {
            "AF_NATS_URL": record.nats_url,
            "AF_MILVUS_URI": record.milvus_uri,
            "AF_DSN": record.sql_dsn,
            "AF_TENANTS_FILE": str(record.tenants_file),
        }
        if record.semantic_model is not None:
            addresses["AF_SEMANTIC_MODEL"] = str(record.semantic_model)
        if self._phoenix is not None:
            addresses |= {"AF_TRACE_ENDPOINT": self._phoenix.url, "AF_TRACE_LINK": self._phoenix.trace_link}
        if kind == "ops":
            addresses["AF_OPS_KEY_SHA256"] = operator_key_digest(self.state)
        if kind == "bridge" and self.options.sample_questions:
            addresses["AF_SAMPLE_QUESTIONS"] = "|".join(self.options.sample_questions)
        return addresses | self.state.nats_keys.environment(kind)

    def _workers(self) -> list[Child]:
        return [
            self._worker(kind, number, self.environment(kind))
            for kind in WORKERS
            for number in range(1, self._replicas(kind) + 1)
        ]

    def _replicas(self, kind: str) -> int:
        """Those that stay; none of a worker that is scaled."""
        return 0 if kind in self.options.scaling.bounds else self.options.replicas.get(kind, 1)

    def _scaled_worker(self, kind: str, number: int) -> Child:
        return self._worker(kind, number, self.environment(kind))

    def _report(self, report: ScalingReport) -> None:
        write_private(self.state.scaling, report.model_dump_json(indent=2))

    def _worker(self, kind: str, number: int, environment: Mapping[str, str]) -> Child:
        name = kind if number == 1 else f"{kind}-{number}"
        is_door = name == "bridge"
        port = self._ports.port(name, wanted=self.options.bridge_port if is_door else 0)
        if kind == "bridge":
            self._bridge_ports.append(port)
        if kind == "ops":
            self._ops_url = f"http://127.0.0.1:{port}/ops"
        return worker_process(
            kind,
            name=name,
            log=self.state.log(name),
            port=port,
            environment=environment,
            fork_server=self._fork_server,
        )

    def _changed(self) -> None:
        if self._bridge_ports and not self._closing:
            self.state.write_stack(self.record)
        self._on_change()

    async def _end_former(self) -> None:
        """Processes of a stack that was killed end by themselves; what does not, is killed."""
        former = self.state.former_stack()
        if former is None:
            return
        left = [process for record in former.processes if (process := _find(record)) is not None]
        if left:
            log.warning(
                "processes of a stack that was killed are still here; waiting for their end",
                action="stack.former",
                pids=[process.pid for process in left],
            )
        _, stuck = await asyncio.to_thread(psutil.wait_procs, left, timeout=FORMER_GRACE_S)
        for process in stuck:
            process.kill()
        self.state.remove_stack()


def _records(statuses: tuple[Status, ...]) -> list[ProcessRecord]:
    records = []
    for status in statuses:
        if status.pid is not None and psutil.pid_exists(status.pid):
            started_at = psutil.Process(status.pid).create_time()
            records.append(
                ProcessRecord(
                    name=status.name,
                    address=status.address,
                    pid=status.pid,
                    started_at=started_at,
                    ready=status.state is State.READY,
                )
            )
    return records


def _find(record: ProcessRecord) -> psutil.Process | None:
    try:
        process = psutil.Process(record.pid)
        return process if process.create_time() == record.started_at else None
    except psutil.NoSuchProcess:
        return None
