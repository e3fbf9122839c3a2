"""Awaited publishes with a dedup id: sent again until the store answers or the time is up."""

import asyncio

from nats.errors import Error as NatsError
from nats.js.api import PubAck
from nats.js.errors import APIError, NoStreamResponseError

from bus.connection import Bus
from bus.envelope import MESSAGE_ID
from contracts.errors import DependencyUnavailable, QueueFull

STREAM_FULL_CODES = frozenset({10077, 10047, 10054})
"""Maximum messages, resources or message size of a stream or account reached."""
RETRY_PAUSE_S = 0.1


async def publish(
    bus: Bus, subject: str, body: bytes, *, headers: dict[str, str], attempts: int = 5
) -> PubAck:
    """Store one message; repeating is safe because `headers` carry the dedup id.

    Raises:
        QueueFull: the stream is at its limit; nothing was stored.
        PermissionDenied: these credentials may not publish there.
        DependencyUnavailable: NATS did not answer in any of the attempts.
    """
    assert headers.get(MESSAGE_ID), "a publish that may be repeated needs a Nats-Msg-Id"
    last: Exception | None = None
    for attempt in range(attempts):
        try:
            return await bus.store(subject, body, headers)
        except APIError as error:
            if error.err_code in STREAM_FULL_CODES:
                raise QueueFull(f"The queue behind {subject} is full ({error.description}).") from error
            last = error
        except (NoStreamResponseError, NatsError, TimeoutError, OSError) as error:
            last = error
        await asyncio.sleep(RETRY_PAUSE_S * 2**attempt)
    raise DependencyUnavailable(f"NATS did not store a message on {subject}: {last!r}.") from last
