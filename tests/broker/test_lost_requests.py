"""Requests that are under way when the server goes away."""

import asyncio
import time

from bus import subjects
from bus.connection import Bus
from bus.envelope import MESSAGE_ID
from bus.publish import publish
from bus.testing import NatsServer, eventually


async def test_a_publish_under_way_when_the_server_dies_is_stored_soon_after_it_is_back(
    nats_server: NatsServer, bus: Bus
) -> None:
    """Not only after the whole timeout of a publish, which is 2 s here; the client reconnects after 1 s."""
    nats_server.suspend()
    sent = bus.nc.stats["out_msgs"]
    publishing = asyncio.create_task(
        publish(bus, subjects.query("acme"), b"{}", headers={MESSAGE_ID: "acme:1:query"})
    )
    await eventually(lambda: bus.nc.stats["out_msgs"] > sent)
    began = time.monotonic()
    nats_server.kill()
    nats_server.start()

    ack = await publishing

    assert ack.seq == 1
    assert time.monotonic() - began < 1.8
