"""Whether a system is empty after a run."""

from bus import subjects
from bus.connection import Bus
from bus.envelope import MESSAGE_ID
from bus.publish import publish
from bus.topology import SQL
from loadgen.settling import settled


async def test_an_empty_system_is_settled_at_once(bus: Bus) -> None:
    assert list((await settled(bus, within_s=5)).queues) == []


async def test_a_message_that_nobody_settles_is_named_with_its_stream(bus: Bus) -> None:
    await publish(bus, subjects.sql("acme"), b"{}", headers={MESSAGE_ID: "acme:1:sql"})
    waiting = await settled(bus, within_s=0.5)
    pull = await bus.js.pull_subscribe_bind("sql", SQL.name)
    await pull.fetch(1, timeout=2)
    in_work = await settled(bus, within_s=0.5)

    assert list(waiting.queues) == ["SQL: 1 waiting, 0 in work, 1 stored"]
    assert list(in_work.queues) == ["SQL: 0 waiting, 1 in work, 1 stored"]
