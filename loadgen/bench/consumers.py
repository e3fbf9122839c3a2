"""Three ways to take messages from one JetStream consumer, behind one call, so that they can be compared."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from faststream import AckPolicy
from faststream.nats import JStream, NatsMessage, PullSub
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError

from bus import subjects
from bus.connection import Bus, open_broker
from bus.consume import Source
from bus.delivery import Delivery
from bus.stage import run_stage
from bus.topology import GENERATE, generation_durable
from contracts import GenerateJob

Seen = Callable[[str], Awaitable[None]]
"""The handler: told of each query id."""

Consume = Callable[[Bus, str, int, Seen], contextlib.AbstractAsyncContextManager[None]]
"""Bus, model (each way has a consumer of its own), messages at once, handler; works while it is open."""

FETCH_TIMEOUT_S = 1.0


@asynccontextmanager
async def plain(bus: Bus, model: str, concurrency: int, seen: Seen) -> AsyncIterator[None]:
    """nats-py as its documentation shows it: fetch a batch, work on it side by side, ack each."""
    subscription = await bus.js.pull_subscribe_bind(generation_durable(model), GENERATE.name)

    async def work(message: Msg) -> None:
        await seen(GenerateJob.model_validate_json(message.data).query_id)
        await message.ack()

    async def loop() -> None:
        while True:
            with contextlib.suppress(NatsTimeoutError):
                messages = await subscription.fetch(concurrency, timeout=FETCH_TIMEOUT_S)
                await asyncio.gather(*map(work, messages))

    task = asyncio.create_task(loop())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await subscription.unsubscribe()


@asynccontextmanager
async def ours(bus: Bus, model: str, concurrency: int, seen: Seen) -> AsyncIterator[None]:
    async def work(delivery: Delivery[GenerateJob]) -> None:
        await seen(delivery.body.query_id)

    source = Source(GENERATE.name, generation_durable(model), concurrency)
    async with run_stage(bus, source, GenerateJob, work, drain_grace_s=0):
        yield


@asynccontextmanager
async def faststream(bus: Bus, model: str, concurrency: int, seen: Seen) -> AsyncIterator[None]:
    """FastStream's own pull subscriber on the same consumer."""
    broker = open_broker(bus.settings, name="bench")
    subscriber = broker.subscriber(
        subjects.generate_model(model),
        stream=JStream(GENERATE.name, declare=False),
        durable=generation_durable(model),
        pull_sub=PullSub(batch_size=concurrency),
        max_workers=concurrency,
        ack_policy=AckPolicy.MANUAL,
    )

    @subscriber
    async def work(job: GenerateJob, message: NatsMessage) -> None:
        await seen(job.query_id)
        await message.ack()

    await broker.start()
    try:
        yield
    finally:
        await broker.stop()


WAYS: dict[str, Consume] = {"nats-py": plain, "ours": ours, "faststream": faststream}
