"""Documents into the ingest queue, and what became of them."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.errors import TimeoutError as NatsTimeoutError

from bus import subjects
from bus.connection import Bus
from bus.envelope import Envelope, message_id, now_ms
from bus.publish import publish
from bus.topology import DAY_S, MAX_PAYLOAD_BYTES
from contracts import SCHEMAS, Document, Outcome, decode, encode
from contracts.errors import InvalidDocument

DOCUMENT_DEADLINE_S = 7 * DAY_S
LONGEST_BODY = MAX_PAYLOAD_BYTES - 64 * 1024


async def publish_document(bus: Bus, tenant: str, document: Document) -> None:
    """Queue one document.

    Raises:
        InvalidDocument: larger than a message may be.
        QueueFull: nothing was stored.
    """
    body = encode(document)
    if len(body) > LONGEST_BODY:
        raise InvalidDocument(
            f"{document.id!r} takes {len(body):,} bytes as a message; the limit is {LONGEST_BODY:,}.",
            remedy="Split the document, or leave out its pictures.",
        )
    envelope = Envelope(deadline=now_ms() + int(DOCUMENT_DEADLINE_S * 1000))
    headers = envelope.headers(
        message_id=message_id(tenant, secrets.token_hex(16), "ingest"), schema=SCHEMAS[Document]
    )
    await publish(bus, subjects.ingest(tenant), body, headers=headers)


@asynccontextmanager
async def outcomes(bus: Bus, tenant: str) -> AsyncIterator[AsyncIterator[Outcome]]:
    """What the ingest workers report from now on; the same document may be reported twice."""
    subscription = await bus.nc.subscribe(subjects.outcome(tenant))

    async def reported() -> AsyncIterator[Outcome]:
        while True:
            try:
                message = await subscription.next_msg(timeout=60)
            except NatsTimeoutError:
                continue
            yield decode(Outcome, message.data)

    try:
        yield reported()
    finally:
        await subscription.unsubscribe()


async def report_outcome(bus: Bus, tenant: str, outcome: Outcome) -> None:
    await bus.nc.publish(subjects.outcome(tenant), encode(outcome))
