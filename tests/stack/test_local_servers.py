"""The servers of a stack, started twice on one folder."""

import asyncio
import socket
import sys
from datetime import date
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from pymilvus import MilvusClient

from askfleet.local.stack import WORKERS, Stack, StackOptions
from askfleet.local.state import StackRecord, StateFolder
from askfleet.sample.loading import load
from bus.connection import connect
from bus.settings import BusSettings
from bus.testing import eventually
from bus.topology import STREAMS
from contracts.errors import Misconfigured

BASE_DATE = date(2026, 7, 1)
NO_WORKERS = StackOptions(dict.fromkeys(WORKERS, 0))


def listens(address: str) -> bool:
    parts = urlsplit(address if "//" in address else f"//{address}")
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) == 0


async def test_servers_keep_their_data_and_ports_and_leave_nothing_behind(state: StateFolder):
    async with Stack(state, NO_WORKERS) as stack:
        await stack.start_servers()
        assert await load(stack.database.owner_dsn, base_date=BASE_DATE, tickets=500)
        await stack.database.prepare()
        first = stack.record
        await check_reader(first.sql_dsn)
        await check_streams(state.nats_keys.settings(first.nats_url, "operator"))
        create_collection(first.milvus_uri)
        with pytest.raises(Misconfigured, match=f"pid {first.pid}"):
            await Stack(state, NO_WORKERS).__aenter__()
    check_gone(state, first.processes)

    async with Stack(state, NO_WORKERS) as stack:
        await stack.start_servers()
        assert stack.record.nats_url == first.nats_url
        assert stack.record.milvus_uri == first.milvus_uri
        assert not await load(stack.database.owner_dsn, base_date=BASE_DATE, tickets=500)
        assert await count_tickets(stack.record.sql_dsn) == 500
        assert has_collection(stack.record.milvus_uri)
        second = stack.record.processes
    check_gone(state, second)


def check_gone(state: StateFolder, processes: tuple) -> None:
    assert {process.name for process in processes} == {"nats-server", "milvus", "postgres"}
    assert not [process for process in processes if psutil.pid_exists(process.pid)]
    assert not [process for process in processes if listens(process.address)]
    assert not state.lock.exists()
    with pytest.raises(Misconfigured, match="No stack runs"):
        state.running_stack()
    assert state.keys.stat().st_mode & 0o077 == 0


async def check_reader(dsn: str) -> None:
    assert await count_tickets(dsn) == 500
    connection = await asyncpg.connect(dsn)
    try:
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("delete from support.ticket_events")
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("create table support.mine (id integer)")
    finally:
        await connection.close()


async def count_tickets(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("select count(*) from support.tickets"))
    finally:
        await connection.close()


async def check_streams(settings: BusSettings) -> None:
    async with connect(settings, name="test") as bus:
        found = {info.config.name for info in await bus.js.streams_info()}
        assert found >= {stream.name for stream in STREAMS}
        assert bus.nc.max_payload == 8 * 1024 * 1024


def create_collection(uri: str) -> None:
    client = MilvusClient(uri)
    client.create_collection("kept", dimension=4)
    client.insert("kept", [{"id": 1, "vector": [0.1, 0.2, 0.3, 0.4]}])
    client.flush("kept")
    client.close()


def has_collection(uri: str) -> bool:
    client = MilvusClient(uri)
    try:
        client.load_collection("kept")
        return len(client.get("kept", ids=[1])) == 1
    finally:
        client.close()


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from askfleet.local.stack import WORKERS, Stack, StackOptions
from askfleet.local.state import StackRecord, StateFolder

async def main():
    options = StackOptions(dict.fromkeys(WORKERS, 0))
    async with Stack(StateFolder(Path(sys.argv[1])), options) as stack:
        await stack.start_servers()
        print(stack.record.model_dump_json(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_stack_that_was_killed_takes_its_servers_with_it(state: StateFolder):
    killed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, str(state.root)), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await killed.communicate()
    record = StackRecord.model_validate_json(out.splitlines()[-1])
    assert len(record.processes) == 3
    await eventually(lambda: not [process for process in record.processes if listens(process.address)])
    async with Stack(state, NO_WORKERS):
        pass


def test_a_worker_that_does_not_exist_is_refused_with_the_names_of_those_that_do():
    with pytest.raises(Misconfigured, match="'generaton'") as raised:
        StackOptions(replicas={"generaton": 2})
    assert "generation" in raised.value.remedy
