"""The running stack as the end-to-end tests see it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import httpx

from askfleet.local.stack import Stack
from askfleet.local.supervisor import State, Status, Supervisor
from askfleet.sse import AnswerStream
from bus.answer_log import read_log
from bus.connection import Bus
from bus.testing import eventually
from bus.topology import STREAMS
from contracts import Event, Terminal

DEMO, DOCS, HOSTILE = "demo", "docs", "hostile"
"""Tenants: of the support desk and its handbook, of the development data, of documents that mean harm."""
SIMULATED = "simulated"
"""The model whose text follows from its prompt alone and comes at a stated pace."""
BACK_WITHIN_S = 30.0
IDLE_WITHIN_S = 30.0


@dataclass(frozen=True)
class Fleet:
    stack: Stack
    extra: Supervisor
    """Workers beside those of the stack."""
    bus: Bus
    keys: dict[str, str] = field(default_factory=dict)

    def url(self, bridge: int = 0) -> str:
        return self.stack.record.bridge_urls[bridge]

    def headers(self, tenant: str = DEMO) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[tenant]}"}

    @asynccontextmanager
    async def client(self, *, bridge: int = 0, tenant: str = DEMO) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(
            base_url=self.url(bridge), headers=self.headers(tenant), timeout=60
        ) as client:
            yield client

    async def ask(self, question: str, *, tenant: str = DEMO, **options: object) -> list[Event]:
        """All events of the answer, as a client of the first bridge reads them."""
        async with self.client(tenant=tenant) as client:
            stream = AnswerStream(client, key=self.keys[tenant])
            return [event async for event in stream.ask({"question": question, **options})]

    async def log(self, query_id: str, *, tenant: str = DEMO) -> tuple[Event, ...]:
        return (await read_log(self.bus, tenant, query_id)).events

    async def accepted(self, query_id: str) -> None:
        async def on_log() -> bool:
            return bool(await self.log(query_id))

        await eventually(on_log)

    async def terminal(self, query_id: str, *, tenant: str = DEMO) -> Terminal:
        """The end of an answer, once it stands on the log."""

        async def ended() -> bool:
            return (await read_log(self.bus, tenant, query_id)).terminal is not None

        await eventually(ended, within_s=BACK_WITHIN_S, every_s=0.05)
        last = (await self.log(query_id, tenant=tenant))[-1]
        assert isinstance(last, Terminal)
        return last

    async def value(self, statement: str) -> object:
        """One value from the database, asked directly."""
        connection = await asyncpg.connect(self.stack.database.owner_dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    def kill(self, name: str) -> int:
        """SIGKILL to a worker; returns the pid that it had."""
        pid = self._status(name).pid
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    async def back(self, name: str, *, not_pid: int) -> None:
        """Until the supervisor has a new process of that name ready."""

        def ready() -> bool:
            status = self._status(name)
            return status.state is State.READY and status.pid not in (None, not_pid)

        await eventually(ready, within_s=BACK_WITHIN_S, every_s=0.05)

    async def idle(self) -> None:
        """Until no consumer has a message left, waiting or in work."""
        left: dict[str, int] = {}
        deadline = asyncio.get_running_loop().time() + IDLE_WITHIN_S
        while left := await self._left():
            assert asyncio.get_running_loop().time() < deadline, f"messages left: {left}"
            await asyncio.sleep(0.05)

    def denials(self) -> list[str]:
        """What NATS denied to a worker, from all logs: the role lacks a permission."""
        logs = sorted(self.stack.state.log("all").parent.glob("*.log"))
        return [line for log in logs for line in log.read_text().splitlines() if "nats_denied" in line]

    async def _left(self) -> dict[str, int]:
        found = {}
        for stream in STREAMS:
            for consumer in await self.bus.js.consumers_info(stream.name):
                count = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
                found[f"{stream.name}/{consumer.name}"] = count
        return {name: count for name, count in found.items() if count}

    def _status(self, name: str) -> Status:
        statuses = (*self.stack.statuses, *self.extra.statuses)
        return next(status for status in statuses if status.name == name)
