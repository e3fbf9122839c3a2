"""What tests of the bridge share: a served bridge, a stand-in for the router, a reader of its frames."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import yaml

from bus import subjects
from bus.answer_log import AnswerWriter
from bus.connection import Bus
from bus.topology import ROUTE
from contracts import Accepted, Query, decode
from workers.bridge.app import serve_bridge
from workers.bridge.settings import BridgeSettings
from workers.shell.tenants import key_digest

ACME = {"authorization": "Bearer key-of-acme"}
EVENTS = {"accept": "text/event-stream"}


@asynccontextmanager
async def bridge(
    bus: Bus, folder: Path, *, limits: dict[str, float] | None = None, **options: float
) -> AsyncIterator[httpx.AsyncClient]:
    """A bridge whose tenant `acme` has one key, with `limits`."""
    tenants = folder / "limited.yaml"
    key = {"sha256": key_digest("key-of-acme"), **(limits or {})}
    tenants.write_text(yaml.safe_dump({"tenants": {"acme": {"keys": [key]}}}))
    options = {"drain_grace_s": 0.0, **options}
    settings = BridgeSettings(nats_url=bus.settings.nats_url, tenants_file=tenants, **options)  # type: ignore[arg-type]
    async with (
        serve_bridge(bus, settings) as (port, _),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=ACME, timeout=20) as client,
    ):
        yield client


async def accept_next(bus: Bus) -> tuple[AnswerWriter, Query]:
    """Take the next query as a router would, and accept it."""
    subscription = await bus.js.pull_subscribe_bind("router", ROUTE.name)
    (message,) = await subscription.fetch(1, timeout=5)
    await message.ack()
    query = decode(Query, message.data)
    tenant = subjects.tenant_of(message.subject)
    writer = AnswerWriter(bus, tenant, query.id)
    deadline = int((message.headers or {})["Af-Deadline"])
    await writer.append_once(Accepted(tenant=tenant, query=query, deadline=deadline))
    return writer, query


async def ids(lines: AsyncIterator[str], *, until: int = 0) -> list[int]:
    """The SSE ids up to `until`, or to the end of the stream; may be called again for what follows."""
    found: list[int] = []
    async for line in lines:
        if line.startswith("id: "):
            found.append(int(line[4:]))
        if until and line.startswith("data: ") and found[-1] >= until:
            break
    return found


async def route_messages(bus: Bus, tenant: str) -> int:
    """How many queries of a tenant wait for a router."""
    info = await bus.js.stream_info(ROUTE.name, subjects_filter=subjects.query(tenant))
    return sum((info.state.subjects or {}).values())
