"""Messages as a stream stores them: read singly or in batches, by subject, without a consumer."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError

from bus.connection import Bus
from contracts.errors import DependencyUnavailable

BATCH = 512
BATCH_BYTES = 16 * 1024 * 1024
MESSAGE_NOT_FOUND = 10037
DELETE_FAILED = 10057
_OF_THE_READ = frozenset(
    {
        "Nats-Stream",
        "Nats-Subject",
        "Nats-Sequence",
        "Nats-Time-Stamp",
        "Nats-Num-Pending",
        "Nats-Last-Sequence",
    }
)
"""Headers that the server adds to what it was given."""


@dataclass(frozen=True)
class Stored:
    """`at_ms` is when the server stored it, in epoch milliseconds."""

    stream: str
    sequence: int
    subject: str
    headers: dict[str, str]
    body: bytes
    at_ms: int


@dataclass(frozen=True)
class Batch:
    """`left` messages follow that are not in it."""

    messages: Sequence[Stored]
    left: int


async def read_batch(
    bus: Bus,
    stream: str,
    subject: str,
    *,
    from_sequence: int = 1,
    since_ms: int = 0,
    limit: int = BATCH,
) -> Batch:
    """A batched direct get (NATS ADR-31): messages of a subject, which may hold wildcards, in stored order.

    Args:
        since_ms: instead of a sequence to begin with, epoch milliseconds.

    Raises:
        DependencyUnavailable: NATS did not answer, or there is no such stream.
    """
    inbox = bus.nc.new_inbox()
    request: dict[str, object] = {"next_by_subj": subject, "batch": limit, "max_bytes": BATCH_BYTES}
    request |= {"start_time": rfc3339(since_ms)} if since_ms else {"seq": max(1, from_sequence)}
    reply = _Reply(stream)
    try:
        subscription = await bus.nc.subscribe(inbox, cb=reply.receive)
        try:
            await bus.nc.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=inbox)
            await reply.wait(bus.settings.publish_timeout_s)
        finally:
            await subscription.unsubscribe()
    except (NatsError, TimeoutError, OSError) as error:
        raise DependencyUnavailable(f"NATS did not answer a read of {subject}: {error!r}.") from error
    if reply.status not in ("204", "404"):
        raise DependencyUnavailable(f"NATS can't read {subject}: status {reply.status}.")
    return Batch(reply.messages, reply.left)


class _Reply:
    """Messages as they come, closed by one that has a status. A callback costs a third of awaiting each."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._closed = asyncio.Event()
        self._came = False
        self.messages: list[Stored] = []
        self.status = ""
        self.left = 0

    async def receive(self, message: Msg) -> None:
        self._came = True
        found = message.headers or {}
        if "Status" not in found:
            self.messages.append(_stored(self._stream, message))
            return
        self.status = found["Status"]
        self.left = int(found.get("Nats-Num-Pending", "0"))
        self._closed.set()

    async def wait(self, silence_s: float) -> None:
        """Raises TimeoutError when nothing comes for so long."""
        while not self._closed.is_set():
            self._came = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(silence_s):
                    await self._closed.wait()
            if not self._closed.is_set() and not self._came:
                raise TimeoutError


async def read_all(
    bus: Bus, stream: str, subject: str, *, since_ms: int = 0, from_sequence: int = 1
) -> AsyncIterator[Stored]:
    """All messages of a subject that are stored by now, oldest first."""
    batch = await read_batch(bus, stream, subject, since_ms=since_ms, from_sequence=from_sequence)
    while batch.messages:
        for message in batch.messages:
            yield message
        if batch.left == 0:
            return
        batch = await read_batch(bus, stream, subject, from_sequence=batch.messages[-1].sequence + 1)


async def read_one(bus: Bus, stream: str, sequence: int) -> Stored | None:
    """From the stream's leader, so that what was just deleted is not seen; None when it is not there.

    Raises:
        DependencyUnavailable: NATS did not answer, or there is no such stream.
    """
    try:
        found = await bus.js.get_msg(stream, sequence)
    except NotFoundError as error:
        if error.err_code == MESSAGE_NOT_FOUND:
            return None
        raise DependencyUnavailable(f"NATS can't read {stream}: {error.description}.") from error
    except (APIError, NatsError, TimeoutError, OSError) as error:
        raise DependencyUnavailable(f"NATS did not answer a read of {stream}: {error!r}.") from error
    at_ms = int(found.time.timestamp() * 1000) if found.time else 0
    return Stored(stream, sequence, found.subject or "", _headers(found.hdrs or ""), found.data or b"", at_ms)


async def delete_one(bus: Bus, stream: str, sequence: int) -> bool:
    """False: it was gone already.

    Raises:
        DependencyUnavailable: NATS did not answer, or there is no such stream.
    """
    try:
        return bool(await bus.js.delete_msg(stream, sequence))
    except APIError as error:
        if error.err_code == DELETE_FAILED:
            return False
        raise DependencyUnavailable(f"NATS refused the deletion in {stream}: {error.description}.") from error
    except (NatsError, TimeoutError, OSError) as error:
        raise DependencyUnavailable(f"NATS did not answer a delete in {stream}: {error!r}.") from error


def rfc3339(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, tz=UTC).isoformat(timespec="milliseconds")


def epoch_ms(moment: str) -> int:
    """Of a moment as the server writes it, with up to nine digits after the second."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def _stored(stream: str, message: Msg) -> Stored:
    found = message.headers or {}
    own = {name: value for name, value in found.items() if name not in _OF_THE_READ}
    at_ms = epoch_ms(found["Nats-Time-Stamp"])
    return Stored(stream, int(found["Nats-Sequence"]), found["Nats-Subject"], own, message.data, at_ms)


def _headers(encoded: str | bytes) -> dict[str, str]:
    """The header block of a stored message, in base64. The client's own reading of it takes ASCII only."""
    lines = base64.b64decode(encoded).decode(errors="replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name: value.strip() for name, _, value in pairs}
