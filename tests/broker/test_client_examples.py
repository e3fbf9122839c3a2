"""The NATS client examples against a real nats-server; the test itself writes the answer logs."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from clients import ASK_CURL, PUBLISH_PYTHON, Client, Relay, javascript_example, start
from test_bridge import bridge

from bus import subjects
from bus.answer_log import AnswerWriter
from bus.connection import Bus
from bus.keys import KeyFolder
from bus.settings import BusSettings
from bus.testing import NatsServer
from bus.topology import ROUTE
from contracts import SCHEMAS, Accepted, Cancelled, Citation, Delta, Done, Failed, Query, Terminal, decode
from contracts.errors import SchemaChanged

TENANT = "acme"
DONE = Done(text="ab", citations=(Citation(number=1, kind="passage", title="Hub", source="docs/hub.md"),))


@pytest.fixture(params=["python", "javascript"])
def command(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return PUBLISH_PYTHON if request.param == "python" else javascript_example("publish.js")


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


@pytest.fixture
def nats_server(tmp_path: Path, keys: KeyFolder) -> Iterator[NatsServer]:
    """With permissions: an example has the rights of its tenant, the test those of the operator."""
    server = NatsServer(tmp_path / "nats", permissions=keys.ensure(("operator",), (TENANT,))).start()
    yield server
    server.stop()


@pytest.fixture
def bus_settings(nats_url: str, keys: KeyFolder) -> BusSettings:
    return keys.settings(nats_url, "operator")


async def accept(bus: Bus) -> AnswerWriter:
    """Take the next query as a router would, headers included, and accept it."""
    subscription = await bus.js.pull_subscribe_bind("router", ROUTE.name)
    (message,) = await subscription.fetch(1, timeout=20)
    await message.ack()
    headers = message.headers or {}
    query = decode(Query, message.data, schema=headers["Af-Schema"])
    tenant = subjects.tenant_of(message.subject)
    assert headers["Nats-Msg-Id"] == f"{tenant}:{query.id}:query"
    writer = AnswerWriter(bus, tenant, query.id)
    await writer.append_once(Accepted(tenant=tenant, query=query, deadline=int(headers["Af-Deadline"])))
    return writer


async def ask(command: tuple[str, ...], bus: Bus, *, timeout_s: int = 60, url: str = "") -> Client:
    operator = bus.settings.nats_nkey_file
    assert operator is not None
    environment = {
        "AF_NATS_URL": url or bus.settings.nats_url,
        "AF_NATS_NKEY_FILE": str(KeyFolder(operator.parent).tenant(TENANT)),
        "AF_TENANT": TENANT,
        "AF_TIMEOUT_S": str(timeout_s),
    }
    return await start(command, "Why?", env=environment)


async def test_an_example_prints_the_text_as_it_comes_and_then_the_sources(
    command: tuple[str, ...], bus: Bus
) -> None:
    client = await ask(command, bus)
    writer = await accept(bus)
    await writer.append(Delta(text="a"))
    await client.until(b"a")
    await writer.append(Delta(text="b"))
    await writer.append(DONE)
    finished = await client.finish()

    assert (finished.status, finished.out) == (0, "ab\n")
    assert "[1] Hub docs/hub.md" in finished.err


@pytest.mark.parametrize(
    ("terminal", "shown"),
    [
        (Failed(problem=SchemaChanged("The table 't' is gone.").problem()), "schema-changed"),
        (Cancelled(reason="by the client"), "cancelled by the client"),
    ],
    ids=["failed", "cancelled"],
)
async def test_an_example_tells_of_an_answer_that_ends_without_success(
    command: tuple[str, ...], bus: Bus, terminal: Terminal, shown: str
) -> None:
    client = await ask(command, bus)
    await (await accept(bus)).append(terminal)
    finished = await client.finish()

    assert finished.status == 1
    assert shown in finished.err


async def test_an_example_gives_up_after_its_deadline(command: tuple[str, ...], bus: Bus) -> None:
    finished = await (await ask(command, bus, timeout_s=1)).finish()

    assert finished.status == 3


async def test_an_example_reads_from_the_log_what_it_missed_while_it_was_cut_off(
    command: tuple[str, ...], bus: Bus
) -> None:
    relay = await Relay(urlsplit(bus.settings.nats_url).port or 0).open()
    client = await ask(command, bus, url=f"nats://127.0.0.1:{relay.port}")
    writer = await accept(bus)
    await writer.append(Delta(text="a"))
    await client.until(b"a")
    await relay.cut()
    await writer.append(Delta(text="b"))
    await writer.append(DONE)
    await relay.open()
    finished = await client.finish()
    await relay.cut()

    assert (finished.status, finished.out) == (0, "ab\n")


async def test_the_curl_example_reads_on_after_a_lost_connection(bus: Bus, tmp_path: Path) -> None:
    async with bridge(bus, tmp_path) as http:
        relay = await Relay(http.base_url.port or 0).open()
        environment = {"AF_URL": f"http://127.0.0.1:{relay.port}", "AF_API_KEY": "key-of-acme"}
        client = await start(ASK_CURL, 'Why "so"?', env=environment)
        writer = await accept(bus)
        await writer.append(Delta(text="a"))
        await client.until(b"event: delta")
        await relay.cut()
        await writer.append(Delta(text="b"))
        await writer.append(DONE)
        await relay.open()
        finished = await client.finish()
        await relay.cut()

    assert finished.status == 0
    assert re.findall(r"^id: (\d+)$", finished.out, re.MULTILINE) == ["1", "2", "3", "4"]


async def test_an_example_says_that_a_full_queue_refused_the_question(
    command: tuple[str, ...], bus: Bus
) -> None:
    config = (await bus.js.stream_info(ROUTE.name)).config
    config.max_msgs = 1
    await bus.js.update_stream(config)
    headers = {"Nats-Msg-Id": "acme:first:query", "Af-Schema": SCHEMAS[Query]}
    await bus.js.publish(subjects.query("acme"), b"{}", headers=headers)
    finished = await (await ask(command, bus)).finish()

    assert finished.status == 2
    assert "maximum messages exceeded" in finished.err
