"""Putting a query on the public subject, and stopping one: what every door does."""

from typing import Literal

from bus import subjects
from bus.answer_log import AnswerWriter, LogState
from bus.connection import Bus
from bus.envelope import Envelope, message_id
from bus.publish import publish
from contracts import SCHEMAS, Cancel, Cancelled, Query, encode
from contracts.errors import AnswerEnded, AnswerNotFound, DeadlineExceeded


async def publish_query(
    bus: Bus, tenant: str, query: Query, *, deadline: int, trace_parent: str = ""
) -> None:
    """Store a query for the router. Repeating it with the same id within two minutes changes nothing.

    Args:
        deadline: epoch milliseconds.

    Raises:
        QueueFull: nothing was stored; the caller may try again later.
    """
    envelope = Envelope(deadline=deadline, trace_parent=trace_parent)
    if envelope.remaining_s() <= 0:
        raise DeadlineExceeded(f"The deadline {deadline} lies in the past.")
    headers = envelope.headers(message_id=message_id(tenant, query.id, "query"), schema=SCHEMAS[Query])
    await publish(bus, subjects.query(tenant), encode(query), headers=headers)


async def cancel_query(
    bus: Bus, tenant: str, query_id: str, *, reason: Literal["client", "operator"] = "client"
) -> LogState:
    """End an answer as `cancelled`: on its log for queued work, by a core message for work under way.

    Returns:
        the log as it stood before.

    Raises:
        AnswerNotFound: nothing is on the log.
        AnswerEnded: it has its terminal event already.
    """
    writer = AnswerWriter(bus, tenant, query_id)
    before = await writer.read()
    if not before.events:
        raise AnswerNotFound(f"There is no answer {query_id!r}.")
    if before.terminal is not None:
        raise AnswerEnded(f"The answer {query_id!r} ended as {before.terminal.type!r}.")
    writer.position = before.position
    await bus.nc.publish(subjects.cancel(tenant, query_id), encode(Cancel(query_id=query_id, reason=reason)))
    await writer.append_once(Cancelled(reason=f"by the {reason}"))
    return before
