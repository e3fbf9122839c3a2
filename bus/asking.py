"""Putting a query on the public subject, finding one that waits there, stopping one: what every door does."""

import secrets
from dataclasses import dataclass
from typing import Literal

from nats.errors import Error as NatsError
from nats.js.errors import APIError, NoStreamResponseError

from bus import subjects
from bus.answer_log import AnswerWriter, LogState
from bus.connection import Bus
from bus.envelope import MESSAGE_ID, Envelope, message_id
from bus.publish import STREAM_FULL_CODES, publish
from bus.stored import read_one
from bus.topology import ROUTE
from contracts import SCHEMAS, Cancel, Cancelled, Query, encode
from contracts.errors import AnswerEnded, AnswerNotFound, DeadlineExceeded, DependencyUnavailable

EXPECTED_ID = "Nats-Expected-Last-Msg-Id"
WRONG_LAST_ID = 10070
STEPS = ("query", "bulk")
"""A query waits under one of these dedup ids: as it was published, or moved to the bulk lane."""


async def publish_query(
    bus: Bus, tenant: str, query: Query, *, deadline: int, trace_parent: str = ""
) -> bool:
    """Store a query for the router. Repeating it with the same id within two minutes changes nothing.

    Args:
        deadline: epoch milliseconds.

    Returns:
        False when it had been stored before.

    Raises:
        QueueFull: nothing was stored; the caller may try again later.
    """
    envelope = Envelope(deadline=deadline, trace_parent=trace_parent)
    if envelope.remaining_s() <= 0:
        raise DeadlineExceeded(f"The deadline {deadline} lies in the past.")
    headers = envelope.headers(message_id=message_id(tenant, query.id, "query"), schema=SCHEMAS[Query])
    return not (await publish(bus, subjects.query(tenant), encode(query), headers=headers)).duplicate


@dataclass(frozen=True)
class Waiting:
    """A query that no router has accepted yet, by its place in the stream; `deadline` is in epoch ms."""

    sequence: int
    lane: subjects.Lane
    deadline: int


async def find_waiting(bus: Bus, tenant: str, query_id: str) -> Waiting | None:
    """The query in the router's queue, as long as the queue remembers its dedup id.

    None does not mean that it never was there: a router may have accepted it just now.
    """
    for step in STEPS:
        sequence = await _sequence_of(bus, tenant, message_id(tenant, query_id, step))
        stored = await read_one(bus, ROUTE.name, sequence) if sequence else None
        if stored is not None:
            deadline = Envelope.read(stored.headers, sent_ms=stored.at_ms).deadline
            return Waiting(stored.sequence, subjects.lane_of(stored.subject), deadline)
    return None


async def _sequence_of(bus: Bus, tenant: str, identity: str) -> int:
    """Asks with a publish that can't be stored: the queue names the message of a known id, else it refuses.

    The server looks for the dedup id first, then compares the expected last id, which nothing ever has.
    """
    headers = {MESSAGE_ID: identity, EXPECTED_ID: secrets.token_hex(16)}
    try:
        ack = await bus.js.publish(subjects.query(tenant), b"", headers=headers)
    except APIError as error:
        if error.err_code == WRONG_LAST_ID or error.err_code in STREAM_FULL_CODES:
            return 0
        raise DependencyUnavailable(f"NATS can't tell whether {identity} waits: {error!r}.") from error
    except (NoStreamResponseError, NatsError, TimeoutError, OSError) as error:
        raise DependencyUnavailable(f"NATS did not say whether {identity} waits: {error!r}.") from error
    return ack.seq


async def cancel_query(
    bus: Bus,
    tenant: str,
    query_id: str,
    *,
    reason: Literal["client", "operator"] = "client",
    waiting: bool = False,
) -> LogState:
    """End an answer as `cancelled`: on its log for queued work, by a core message for work under way.

    Args:
        waiting: the query is known to have been asked, though no router may have accepted it yet.

    Returns:
        the log as it stood before.

    Raises:
        AnswerNotFound: nothing is on the log.
        AnswerEnded: it has its terminal event already.
    """
    writer = AnswerWriter(bus, tenant, query_id)
    before = await writer.read()
    if not before.events and not waiting:
        raise AnswerNotFound(f"There is no answer {query_id!r}.")
    if before.terminal is not None:
        raise AnswerEnded(f"The answer {query_id!r} ended as {before.terminal.type!r}.")
    writer.position = before.position
    await bus.nc.publish(subjects.cancel(tenant, query_id), encode(Cancel(query_id=query_id, reason=reason)))
    await writer.append_once(Cancelled(reason=f"by the {reason}"))
    return before
