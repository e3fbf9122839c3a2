"""Brings a NATS system to the topology; running it again changes nothing."""

from collections.abc import Sequence

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
from bus.settings import BusSettings

HAND_BACKS = 50
"""Deliveries beyond `max_deliver` that the server allows, since handing back at shutdown is no fault."""


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
    for model in models:
        for consumer in topology.generation_consumers(model):
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


def consumer_config(consumer: topology.Consumer, settings: BusSettings) -> ConsumerConfig:
    return ConsumerConfig(
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
