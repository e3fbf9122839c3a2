"""What it costs to take a message: plain nats-py, our pull loop and FastStream's pull subscriber.

Throughput of handlers that do nothing, the wait of a lone message, and how often work is done twice when
handlers are slow.
"""

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

from bus import subjects
from bus.connection import Bus, connect
from bus.envelope import Envelope, message_id, now_ms
from bus.provision import provision
from bus.publish import publish
from bus.settings import BusSettings
from bus.testing import NatsServer, eventually
from bus.topology import GENERATE, generation_durable
from contracts import SCHEMAS, GenerateJob, encode
from loadgen.bench.consumers import WAYS
from loadgen.bench.stacks import in_loop
from loadgen.latency import Summary
from loadgen.report import Figure, Report

MESSAGES = 4_000
ROUNDS = 3
CONCURRENCY = 32
LONE = 100
TENANT = "bench"
REDELIVERY_ACK_WAIT_S = 1.0
REDELIVERY_MESSAGES = 24
REDELIVERY_CONCURRENCY = 4
REDELIVERY_CASES = (("handlers of half the ack_wait", 0.5), ("handlers of 1.5 times the ack_wait", 1.5))


def run() -> Report:
    with tempfile.TemporaryDirectory(prefix="askfleet-bench-") as folder:
        server = NatsServer(Path(folder)).start()
        try:
            figures = in_loop(_measure(server.url))
        finally:
            server.stop()
    note = (
        f"{MESSAGES} messages, {CONCURRENCY} at once, median of {ROUNDS} rounds, one process, one nats-server"
    )
    return Report("consume", "python -m loadgen.bench consume", tuple(figures), (note,))


async def _measure(url: str) -> list[Figure]:
    throughput = await _throughput(BusSettings(nats_url=url))
    lone = await _lone_messages(BusSettings(nats_url=url))
    twice: list[Figure] = []
    for case, handler_s in REDELIVERY_CASES:
        settings = BusSettings(nats_url=url, ack_wait_s=REDELIVERY_ACK_WAIT_S)
        twice += await _worked_twice(settings, case, handler_s)
    return throughput + lone + twice


async def _throughput(settings: BusSettings) -> list[Figure]:
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    async with connect(settings, name="bench") as bus:
        await provision(bus.js, settings, models=tuple(WAYS))
        for _ in range(ROUNDS):
            for way in WAYS:
                rates[way].append(await _drain(bus, way))
    medians = {way: statistics.median(values) for way, values in rates.items()}
    figures = [Figure(f"{way}: throughput", value, "messages/s") for way, value in medians.items()]
    figures += [Figure(f"{way}: a message", 1e6 / value, "us") for way, value in medians.items()]
    return [
        *figures,
        Figure("ours / nats-py", medians["ours"] / medians["nats-py"], "times"),
        Figure("ours / faststream", medians["ours"] / medians["faststream"], "times"),
    ]


async def _drain(bus: Bus, way: str) -> float:
    """Messages a second, from the start of the consumer until the last one is acked."""
    await _publish(bus, way, MESSAGES)
    left = MESSAGES
    finished = asyncio.Event()

    async def seen(_query_id: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            finished.set()

    began = time.perf_counter()
    async with WAYS[way](bus, way, CONCURRENCY, seen):
        await finished.wait()
        took_s = time.perf_counter() - began
        await eventually(lambda: _settled(bus, way))
    return MESSAGES / took_s


async def _lone_messages(settings: BusSettings) -> list[Figure]:
    figures = []
    async with connect(settings, name="bench") as bus:
        for way in WAYS:
            summary = Summary.of(await _lone_waits_ms(bus, way))
            figures.append(Figure(f"{way}: a lone message, median", summary.median, "ms"))
            figures.append(Figure(f"{way}: a lone message, 99 %", summary.p99, "ms"))
    return figures


async def _lone_waits_ms(bus: Bus, way: str) -> list[float]:
    """From the publish of a message to the start of its handler, one message at a time."""
    waits = []
    arrivals: asyncio.Queue[float] = asyncio.Queue()

    async def seen(_query_id: str) -> None:
        arrivals.put_nowait(time.perf_counter())

    async with WAYS[way](bus, way, CONCURRENCY, seen):
        for _ in range(LONE):
            began = time.perf_counter()
            await _publish(bus, way, 1)
            waits.append((await arrivals.get() - began) * 1e3)
        await eventually(lambda: _settled(bus, way))
    return waits


async def _worked_twice(settings: BusSettings, case: str, handler_s: float) -> list[Figure]:
    """The three ways side by side: their handlers sleep."""
    async with connect(settings, name="bench") as bus:
        await provision(bus.js, settings, models=tuple(WAYS))
        counts = await asyncio.gather(*(_repeats(bus, way, handler_s) for way in WAYS))
    return [
        Figure(f"{way}: worked twice, {case}", count, f"of {REDELIVERY_MESSAGES}")
        for way, count in zip(WAYS, counts, strict=True)
    ]


async def _repeats(bus: Bus, way: str, handler_s: float) -> int:
    await _publish(bus, way, REDELIVERY_MESSAGES)
    deliveries: Counter[str] = Counter()

    async def seen(query_id: str) -> None:
        deliveries[query_id] += 1
        await asyncio.sleep(handler_s)

    # A way that works twice may never settle all: it is watched for twice the time that once takes.
    enough_s = 2 * handler_s * REDELIVERY_MESSAGES / REDELIVERY_CONCURRENCY
    async with WAYS[way](bus, way, REDELIVERY_CONCURRENCY, seen):
        with contextlib.suppress(AssertionError):
            await eventually(lambda: _settled(bus, way), within_s=enough_s, every_s=0.1)
    await bus.js.purge_stream(GENERATE.name, subject=subjects.generate_model(way))
    return sum(1 for count in deliveries.values() if count > 1)


async def _settled(bus: Bus, way: str) -> bool:
    info = await bus.js.consumer_info(GENERATE.name, generation_durable(way))
    return (info.num_pending, info.num_ack_pending) == (0, 0)


async def _publish(bus: Bus, way: str, count: int) -> None:
    """Stored side by side, in lots that the client's buffer holds."""
    for begin in range(0, count, 500):
        lot = range(begin, min(begin + 500, count))
        await asyncio.gather(*(_publish_one(bus, way, f"{time.time_ns()}-{number}") for number in lot))


async def _publish_one(bus: Bus, way: str, query_id: str) -> None:
    envelope = Envelope(deadline=now_ms() + 600_000)
    headers = envelope.headers(
        message_id=message_id(TENANT, query_id, "generate"), schema=SCHEMAS[GenerateJob]
    )
    body = encode(GenerateJob(query_id=query_id, first_sequence=0))
    await publish(bus, subjects.generate(way, TENANT), body, headers=headers)
