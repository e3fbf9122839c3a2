"""What one client can ask of a bridge or make it keep: limits by key, a full queue, bodies, slow readers."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from bridges import ACME, EVENTS, accept_next, bridge, ids

from bus.answer_log import read_log
from bus.connection import Bus
from bus.testing import eventually
from bus.topology import ROUTE
from contracts import Delta, Done
from contracts.errors import Misconfigured
from workers.bridge.limits import Gate, LimitReached
from workers.bridge.pressure import Drain, Places, Sample
from workers.bridge.settings import BridgeSettings
from workers.shell.tenants import Caller, Limits, Tenants, key_digest

CHUNK = b"x" * 100_000


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def caller(**limits: float) -> Caller:
    return Caller("acme", "k", Limits.model_validate(limits))


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    clock = Clock()
    gate = Gate(BridgeSettings(), clock=clock)
    acme = caller(requests_per_s=2, burst=3)

    for _ in range(3):
        gate.admit(acme)
    with pytest.raises(LimitReached) as refused:
        gate.admit(acme)
    clock.now += 0.5

    assert gate.admit(acme).headers["RateLimit"] == '"requests";r=0;t=2'
    assert refused.value.headers["RateLimit-Policy"] == '"requests";q=3;w=2'
    assert refused.value.retry_after_s == 1


def test_each_replica_allows_its_part() -> None:
    gate = Gate(BridgeSettings(bridge_replicas=2), clock=Clock())
    acme = caller(requests_per_s=10, burst=8, concurrent=4)

    slots = [gate.admit(acme).slot for _ in range(2)]
    with pytest.raises(LimitReached, match="its limit is 2"):
        gate.admit(acme)
    slots[0].release()
    slots[0].release()
    gate.admit(acme)
    with pytest.raises(LimitReached):
        gate.admit(acme)


def test_a_key_of_the_tenants_file_overrides_its_tenant_and_that_the_bridge(tmp_path: Path) -> None:
    path = tmp_path / "tenants.yaml"
    keys = [key_digest("a"), {"sha256": key_digest("b"), "requests_per_s": 9}]
    path.write_text(yaml.safe_dump({"tenants": {"acme": {"keys": keys, "requests_per_s": 5, "burst": 7}}}))
    tenants = Tenants.load(path)
    settings = BridgeSettings(key_requests_per_s=1, key_concurrent=3)

    found = [tenants.by_key(key).limits.over(settings.key_limits) for key in ("a", "b")]

    assert [(f.requests_per_s, f.burst, f.concurrent) for f in found] == [(5, 7, 3), (9, 7, 3)]


def test_a_key_that_is_no_digest_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(yaml.safe_dump({"tenants": {"acme": {"keys": ["secret"]}}}))

    with pytest.raises(Misconfigured, match="sha256"):
        Tenants.load(path)


def test_clients_of_a_full_queue_get_places_as_it_drains() -> None:
    clock, drain = Clock(), Drain()
    places = Places(drain, replicas=1, clock=clock)
    guess = places.wait_s()
    for second in range(4):
        clock.now = float(second)
        drain.note(Sample(clock.now, second * 10))

    waits = [places.wait_s() for _ in range(700)]

    assert guess == 2
    assert waits[29] == pytest.approx(3.0)
    assert max(waits) == 60
    clock.now = 13.0
    assert places.wait_s() == pytest.approx(10.0)


async def test_too_many_questions_are_refused_with_the_standard_headers(bus: Bus, tmp_path: Path) -> None:
    async with bridge(bus, tmp_path, limits={"requests_per_s": 0.1, "burst": 1}) as client:
        async with client.stream("POST", "/v1/ask", json={"question": "?"}, headers=EVENTS) as first:
            refused = await client.post("/v1/ask", json={"question": "?", "id": "second"})
            openai = await client.post(
                "/v1/chat/completions", json={"messages": [{"role": "user", "content": "?"}]}
            )

        assert first.headers["ratelimit"] == '"requests";r=0;t=10'
        assert first.headers["ratelimit-policy"] == '"requests";q=1;w=10'
        assert (refused.status_code, refused.json()["code"]) == (429, "rate-limited")
        assert 9 <= int(refused.headers["retry-after"]) <= 10
        assert openai.headers["x-ratelimit-remaining-requests"] == "0"
        assert (await client.get("/v1/answers/second")).status_code == 404


async def test_an_answer_counts_until_it_has_ended_also_without_a_reader(bus: Bus, tmp_path: Path) -> None:
    async with bridge(bus, tmp_path, limits={"concurrent": 1}) as client:
        async with client.stream(
            "POST", "/v1/ask", json={"question": "?", "id": "a"}, headers=EVENTS
        ) as response:
            assert response.headers["ratelimit"] == '"answers";r=0'
        writer, _ = await accept_next(bus)
        refused = await client.post("/v1/ask", json={"question": "?"})
        await writer.append(Done(text=""))
        await client.get("/v1/answers/a")

        async def asked() -> bool:
            async with client.stream("POST", "/v1/ask", json={"question": "?"}, headers=EVENTS) as again:
                return again.status_code == 200

        assert (refused.status_code, refused.json()["code"]) == (429, "rate-limited")
        await eventually(asked, within_s=2)


async def test_a_client_that_comes_back_when_told_finds_room_in_the_queue(bus: Bus, tmp_path: Path) -> None:
    config = (await bus.js.stream_info(ROUTE.name)).config
    config.max_msgs = 2
    await bus.js.update_stream(config)
    async with bridge(bus, tmp_path) as client:
        for name in ("a", "b"):
            async with client.stream(
                "POST", "/v1/ask", json={"question": "?", "id": name}, headers=EVENTS
            ) as response:
                assert response.status_code == 200
        refused = await client.post("/v1/ask", json={"question": "?", "id": "c"})
        kept = await client.get("/v1/answers/c")
        await accept_next(bus)
        async with client.stream(
            "POST", "/v1/ask", json={"question": "?", "id": "c"}, headers=EVENTS
        ) as response:
            again = response.status_code

    assert (refused.status_code, refused.json()["code"]) == (429, "queue-full")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert kept.status_code == 404
    assert (await read_log(bus, "acme", "c")).events == ()
    assert again == 200


async def test_a_body_in_chunks_is_limited_too(bus: Bus, tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield CHUNK

    async def small() -> AsyncIterator[bytes]:
        yield b'{"question"'
        yield b': ""}'

    async with bridge(bus, tmp_path) as client:
        headers = {"content-type": "application/json"}
        large = await client.post("/v1/ask", content=endless(), headers=headers)
        fine = await client.post("/v1/ask", content=small(), headers=headers)

    assert large.status_code == 413
    assert "2000000" in large.json()["detail"]
    assert (fine.status_code, fine.json()["code"]) == (400, "invalid-query")


async def test_a_client_that_stops_reading_is_cut_off_and_others_read_on(bus: Bus, tmp_path: Path) -> None:
    async with bridge(bus, tmp_path, slow_reader_s=0.5, keep_alive_s=0.1) as client:
        stuck = await _connect(client.base_url)
        await _send(stuck, {"question": "?", "id": "big"})
        writer, _ = await accept_next(bus)
        async with client.stream("GET", "/v1/answers/big", headers=EVENTS) as response:
            lines = response.aiter_lines()
            for _ in range(40):
                await writer.append(Delta(text="x" * 400_000))
            assert await asyncio.wait_for(ids(lines, until=41), 10) == list(range(1, 42))
            await eventually(lambda: _is_dropped(stuck), within_s=5)
            await writer.append(Delta(text="end"))
            await writer.append(Done(text=""))
            assert await asyncio.wait_for(ids(lines), 5) == [42, 43]
        resumed = await client.get("/v1/answers/big", headers=EVENTS | {"last-event-id": "41"})
    assert resumed.text.count("id: ") == 2
    stuck.close()


async def _connect(address: httpx.URL) -> socket.socket:
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.setblocking(False)
    await asyncio.get_running_loop().sock_connect(stuck, (address.host, address.port))
    return stuck


async def _send(stuck: socket.socket, body: dict[str, str]) -> None:
    encoded = json.dumps(body).encode()
    head = f"POST /v1/ask HTTP/1.1\r\nhost: x\r\nauthorization: {ACME['authorization']}\r\n"
    head += "accept: text/event-stream\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(encoded)}\r\n\r\n"
    await asyncio.get_running_loop().sock_sendall(stuck, head.encode() + encoded)


def _is_dropped(stuck: socket.socket) -> bool:
    """Seen from the server's side, which runs in this process, without reading."""
    mine = stuck.getsockname()[1]
    theirs = [c for c in psutil.Process().net_connections("tcp") if c.raddr and c.raddr.port == mine]
    return all(connection.status != psutil.CONN_ESTABLISHED for connection in theirs)
