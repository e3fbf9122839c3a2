"""Brings a NATS system to the topology; running it again changes nothing.

    python -m bus.provision apply --models default,large --replicas 3
    python -m bus.provision wait generation-default

`apply` needs the role `provision`. `wait` ends when the consumers of a worker are there, and needs the role
of that worker, of the bridge or of the operator's page: what starts before them finds nothing to pull from.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    ObjectStoreConfig,
    RePublish,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BucketNotFoundError, NotFoundError

from bus import topology
from bus.connection import connect
from bus.settings import BusSettings
from contracts import queue_of
from contracts.errors import AskfleetError, DependencyUnavailable, Misconfigured

log = structlog.get_logger(__name__)

HAND_BACKS = 50
"""Deliveries beyond `max_deliver` that the server allows, since handing back at shutdown is no fault."""
WAIT_S = 300.0
LOOK_EVERY_S = 1.0


async def provision(
    js: JetStreamContext, settings: BusSettings, *, models: Sequence[str] = ("default",), replicas: int = 1
) -> None:
    """Create or update every stream, consumer and bucket.

    Args:
        models: one generation consumer is made for each.
        replicas: copies of each stream; 3 or 5 in a NATS cluster.
    """
    for stream in topology.STREAMS:
        await _apply_stream(js, stream_config(stream, replicas))
        for consumer in stream.consumers:
            await js.add_consumer(stream.name, consumer_config(consumer, settings))
    for queue in dict.fromkeys(queue_of(model) for model in models):
        for consumer in topology.generation_consumers(queue):
            await js.add_consumer(topology.GENERATE.name, consumer_config(consumer, settings))
    await _apply_bucket(js, replicas)


def stream_config(stream: topology.Stream, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=RetentionPolicy.WORK_QUEUE if stream.work else RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW if stream.work else DiscardPolicy.OLD,
        storage=StorageType.FILE,
        max_msgs=stream.max_msgs,
        max_msgs_per_subject=stream.max_msgs_per_subject,
        max_bytes=stream.max_bytes,
        max_age=stream.max_age_s,
        duplicate_window=min(stream.duplicate_window_s, stream.max_age_s or stream.duplicate_window_s),
        num_replicas=replicas,
        allow_direct=True,
        republish=RePublish(src=stream.subject, dest=stream.republish_to) if stream.republish_to else None,
    )


@dataclass
class PullConfig(ConsumerConfig):
    """With the fields that the client library does not know (NATS ADR-42)."""

    priority_groups: list[str] | None = None
    priority_policy: str | None = None


def consumer_config(consumer: topology.Consumer, settings: BusSettings) -> PullConfig:
    """With shared queues a pull without a group is refused; our own workers always name it.

    `prioritized` rather than `overflow`: docs/adr/0011-leaf-nodes-and-guests.md.
    """
    return PullConfig(
        priority_groups=[topology.GROUP] if settings.shared_queues else None,
        priority_policy="prioritized" if settings.shared_queues else None,
        durable_name=consumer.durable,
        filter_subject=consumer.filter_subject,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=settings.ack_wait_s,
        max_deliver=settings.max_deliver + HAND_BACKS,
        max_ack_pending=consumer.max_ack_pending,
        max_waiting=2048,
    )


async def _apply_stream(js: JetStreamContext, config: StreamConfig) -> None:
    try:
        await js.stream_info(str(config.name))
    except NotFoundError:
        await js.add_stream(config)
    else:
        await js.update_stream(config)


async def _apply_bucket(js: JetStreamContext, replicas: int) -> None:
    try:
        await js.object_store(topology.ARTEFACTS_BUCKET)
    except BucketNotFoundError:
        config = ObjectStoreConfig(bucket=topology.ARTEFACTS_BUCKET, replicas=replicas)
        await js.create_object_store(topology.ARTEFACTS_BUCKET, config=config)


def lanes_of(durable: str) -> tuple[str, tuple[str, ...]]:
    """The stream of a worker's durable, and its consumers; raises Misconfigured for an unknown one."""
    stage, _, model = durable.partition("-")
    stream = topology.STAGES.get(stage)
    if stream is None or bool(model) != (stream is topology.GENERATE):
        known = ", ".join("generation-<model>" if name == "generation" else name for name in topology.STAGES)
        raise Misconfigured(f"There is no consumer {durable!r}.", remedy=f"The consumers are {known}.")
    consumers = topology.generation_consumers(model) if model else stream.consumers
    return stream.name, tuple(consumer.durable for consumer in consumers)


async def wait_for_consumers(js: JetStreamContext, durable: str, *, within_s: float = WAIT_S) -> None:
    """Return once the consumers of both lanes are there.

    Raises:
        DependencyUnavailable: they did not come in time.
        Misconfigured: there is no such durable.
    """
    stream, consumers = lanes_of(durable)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    for consumer in consumers:
        while not await _is_there(js, stream, consumer):
            if loop.time() >= deadline:
                raise DependencyUnavailable(
                    f"The consumer {consumer!r} of {stream} did not come within {within_s:g} s.",
                    remedy="Run `python -m bus.provision apply` with the role `provision`.",
                )
            log.info("waiting for a consumer", action="provision_waits", stream=stream, consumer=consumer)
            await asyncio.sleep(LOOK_EVERY_S)


async def _is_there(js: JetStreamContext, stream: str, consumer: str) -> bool:
    try:
        await js.consumer_info(stream, consumer)
    except (NotFoundError, TimeoutError):
        return False
    return True


async def _run(options: argparse.Namespace) -> None:
    settings = BusSettings()
    async with connect(settings, name="askfleet-provision") as bus:
        if options.command == "wait":
            await wait_for_consumers(bus.js, options.durable, within_s=options.within_s)
        else:
            await provision(bus.js, settings, models=options.models.split(","), replicas=options.replicas)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bus.provision", description="Streams and consumers.")
    commands = parser.add_subparsers(dest="command", required=True)
    apply = commands.add_parser("apply", help="create or update every stream, consumer and bucket")
    apply.add_argument("--models", default="default", help="generation models, comma-separated")
    apply.add_argument("--replicas", type=int, default=1, help="copies of each stream")
    wait = commands.add_parser("wait", help="end when a worker's consumers are there")
    wait.add_argument("durable", help="router, retrieval, sql, ingest or generation-<model>")
    wait.add_argument("--within-s", type=float, default=WAIT_S, help="give up after so many seconds")
    try:
        asyncio.run(_run(parser.parse_args()))
    except AskfleetError as error:
        print(f"error: {error.detail}\nremedy: {error.remedy}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
