"""The dead-letter stream: what was given up, as it came, with the reason beside it."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from nats.aio.msg import Msg
from pydantic import BaseModel, ConfigDict, Field

from bus import subjects
from bus.answer_log import read_log
from bus.connection import Bus
from bus.envelope import DEADLINE, MESSAGE_ID, TRACE_PARENT, now_ms, query_id_of
from bus.jetstream import JetStreamApi
from bus.publish import publish
from bus.stored import Stored, delete_one, read_all, read_one
from bus.topology import DLQ, INGEST, ROUTE
from contracts import Accepted, encode
from contracts.errors import AskfleetError

log = structlog.get_logger(__name__)

REASON = "Af-Dead-Reason"
CODE = "Af-Dead-Code"
ATTEMPTS = "Af-Dead-Attempts"
ORIGIN = "Af-Dead-Subject"
TIME = "Af-Dead-Time"
SENT = "Af-Dead-Sent"
TRACE = "Af-Dead-Trace"
QUERY_ID = "Af-Dead-Query-Id"
QUERY = "Af-Dead-Query"
ORIGINAL_ID = "Af-Dead-Message-Id"
LONGEST_QUERY_HEADER = 64 * 1024


async def bury(bus: Bus, stage: str, message: Msg | Stored, error: AskfleetError, attempt: int) -> None:
    """Copy body and headers to the DLQ. Repeating it stores nothing twice.

    The query travels along in a header where the body does not hold it: its answer log will be gone when a
    person wants to ask again.
    """
    stored = message if isinstance(message, Stored) else stored_of(message)
    tenant = subjects.tenant_of(stored.subject)
    headers = {k: v for k, v in stored.headers.items() if not k.startswith("Nats-Expected")}
    original_id = headers.get(MESSAGE_ID, "")
    query_id = "" if stage == INGEST.stage else query_id_of(stored.body, original_id)
    headers |= {
        MESSAGE_ID: f"dead:{stage}:{stored.stream}:{stored.sequence}",
        REASON: error.detail.replace("\r", " ").replace("\n", " ")[:1000],
        CODE: error.code,
        ATTEMPTS: str(attempt),
        ORIGIN: stored.subject,
        TIME: str(now_ms()),
        SENT: str(stored.at_ms),
    }
    found = {
        TRACE: trace_id_of(headers.get(TRACE_PARENT, "")),
        ORIGINAL_ID: original_id,
        QUERY_ID: query_id,
        QUERY: await _query_header(bus, tenant, query_id) if stage != ROUTE.stage and query_id else "",
    }
    headers |= {name: value for name, value in found.items() if value}
    await publish(bus, subjects.dead(stage, tenant), stored.body, headers=headers)


def stored_of(message: Msg) -> Stored:
    """A delivered message as its stream holds it."""
    found = message.metadata
    at_ms = int(found.timestamp.timestamp() * 1000)
    headers = dict(message.headers or {})
    return Stored(found.stream, found.sequence.stream, message.subject, headers, message.data, at_ms)


def trace_id_of(trace_parent: str) -> str:
    """The second field of a W3C traceparent; empty where there is none."""
    parts = trace_parent.split("-")
    return parts[1] if len(parts) >= 4 else ""


async def _query_header(bus: Bus, tenant: str, query_id: str) -> str:
    try:
        state = await read_log(bus, tenant, query_id)
    except AskfleetError as error:
        log.warning("a dead letter goes without its query", action="bury_bare", error=str(error))
        return ""
    query = next((event.query for event in state.events if isinstance(event, Accepted)), None)
    # Escaped: header values are ASCII for many a reader.
    encoded = json.dumps(json.loads(encode(query))) if query else ""
    return encoded if len(encoded) <= LONGEST_QUERY_HEADER else ""


class DeadLetter(BaseModel):
    """One entry of the DLQ. Times are epoch milliseconds; `sent_at` is when the message was stored first."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    stage: str
    tenant: str
    query_id: str = ""
    code: str = ""
    reason: str = ""
    attempts: int = 0
    trace_id: str = ""
    buried_at: int
    sent_at: int = 0
    deadline: int = 0
    subject: str = Field(description="where it was published first")
    headers: dict[str, str] = Field(default={}, exclude=True)
    body: bytes = Field(default=b"", exclude=True)

    @classmethod
    def of(cls, stored: Stored) -> "DeadLetter":
        found = stored.headers
        return cls(
            sequence=stored.sequence,
            stage=subjects.stage_of_dead(stored.subject),
            tenant=subjects.tenant_of(stored.subject),
            query_id=found.get(QUERY_ID, ""),
            code=found.get(CODE, ""),
            reason=found.get(REASON, ""),
            attempts=_number(found.get(ATTEMPTS)),
            trace_id=found.get(TRACE, "") or trace_id_of(found.get(TRACE_PARENT, "")),
            buried_at=_number(found.get(TIME)) or stored.at_ms,
            sent_at=_number(found.get(SENT)),
            deadline=_number(found.get(DEADLINE)),
            subject=found.get(ORIGIN, ""),
            headers=found,
            body=stored.body,
        )


@dataclass(frozen=True)
class LetterFilter:
    """Empty fields choose all. `since_ms` is in epoch milliseconds, `limit` 0 means no limit."""

    stage: str = ""
    tenant: str = ""
    code: str = ""
    query_id: str = ""
    since_ms: int = 0
    sequences: tuple[int, ...] = ()
    limit: int = 0

    def takes(self, letter: DeadLetter) -> bool:
        return (
            self.stage in ("", letter.stage)
            and self.tenant in ("", letter.tenant)
            and self.code in ("", letter.code)
            and self.query_id in ("", letter.query_id)
            and letter.buried_at >= self.since_ms
        )


async def read_letters(bus: Bus, chosen: LetterFilter) -> AsyncIterator[DeadLetter]:
    """Oldest first; a chosen sequence that is not there is left out.

    Raises:
        DependencyUnavailable: NATS did not answer.
    """
    left = chosen.limit or -1
    async for stored in _chosen(bus, chosen):
        letter = DeadLetter.of(stored)
        if chosen.takes(letter):
            yield letter
            left -= 1
        if left == 0:
            return


async def read_latest_letters(
    bus: Bus, chosen: LetterFilter, *, window: int = 2_000
) -> tuple[tuple[DeadLetter, ...], bool]:
    """Newest first, out of the last `window` places of the stream; and whether there are older ones.

    Raises:
        DependencyUnavailable: NATS did not answer.
    """
    state = (await JetStreamApi(bus, bus.settings.publish_timeout_s).stream(DLQ.name)).state
    begin = max(1, state.last_seq - window + 1)
    subject = subjects.dead_letters(chosen.stage, chosen.tenant)
    read = [DeadLetter.of(stored) async for stored in read_all(bus, DLQ.name, subject, from_sequence=begin)]
    found = [letter for letter in reversed(read) if chosen.takes(letter)]
    kept = tuple(found[: chosen.limit] if chosen.limit else found)
    return kept, len(found) > len(kept) or (state.messages > 0 and state.first_seq < begin)


async def _chosen(bus: Bus, chosen: LetterFilter) -> AsyncIterator[Stored]:
    if not chosen.sequences:
        subject = subjects.dead_letters(chosen.stage, chosen.tenant)
        async for stored in read_all(bus, DLQ.name, subject, since_ms=chosen.since_ms):
            yield stored
    for sequence in chosen.sequences:
        found = await read_one(bus, DLQ.name, sequence)
        if found is not None:
            yield found


async def read_letter(bus: Bus, sequence: int) -> DeadLetter | None:
    found = await read_one(bus, DLQ.name, sequence)
    return DeadLetter.of(found) if found else None


async def forget_letter(bus: Bus, sequence: int) -> bool:
    """Take it off the DLQ; False when it was gone already."""
    return await delete_one(bus, DLQ.name, sequence)


def _number(value: str | None) -> int:
    return int(value) if value is not None and value.isascii() and value.isdigit() else 0
