"""Dead letters worked again: each once, however often and from wherever it is asked for.

The answer of a query that was given up has ended as `failed`, and nothing can follow a terminal event. So a
query is asked anew under an id of its own, `<id>-r1`, which then goes through every stage. Documents are
published again as they were.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from bus import subjects
from bus.answer_log import read_log
from bus.connection import Bus
from bus.dead_letter import QUERY, DeadLetter, forget_letter, read_letter
from bus.documents import DOCUMENT_DEADLINE_S
from bus.envelope import SCHEMA, TRACE_PARENT, Envelope, message_id, now_ms
from bus.publish import publish
from bus.topology import INGEST, ROUTE
from contracts import SCHEMAS, Accepted, Document, Query, decode, encode
from contracts.errors import DecodeError, PermanentError
from contracts.query import DEFAULT_DEADLINE_S

REPLAY_OF = "Af-Replay-Of"
LONGEST_ID = 64
_AGAIN = re.compile(r"(?P<first>.+)-r(?P<times>[1-9][0-9]{0,3})\Z")


class NotReplayable(PermanentError):
    """A dead letter out of which no query can be made any more."""

    code = "not-replayable"
    title = "The dead letter can't be worked again"
    remedy = "Ask the question again, and take the letter off with `askfleet dlq purge`."


class Replayed(BaseModel):
    """What became of one dead letter. `query_id` is the new one; empty for a document."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    outcome: Literal["replayed", "already", "impossible"]
    query_id: str = ""
    note: str = ""


@dataclass(frozen=True)
class Resubmission:
    """What will be published for a dead letter."""

    subject: str
    body: bytes
    headers: dict[str, str]
    query_id: str = ""


async def replay(bus: Bus, sequence: int) -> Replayed:
    """Publish what the dead letter asks for, then take the letter off the DLQ.

    The dedup id is derived from the letter, and a new query id from the old one: two replays at the same time
    are stored once, and a later one finds the letter, or the answer under the new id, and does nothing.

    Raises:
        DependencyUnavailable, QueueFull: the letter stays; replay it again.
    """
    letter = await read_letter(bus, sequence)
    if letter is None:
        return Replayed(sequence=sequence, outcome="already", note="not on the DLQ (any more)")
    try:
        planned = await plan(bus, letter)
    except NotReplayable as error:
        return Replayed(sequence=sequence, outcome="impossible", note=error.detail)
    if planned.query_id and (await read_log(bus, letter.tenant, planned.query_id)).events:
        await forget_letter(bus, sequence)
        note = "asked already under this id"
        return Replayed(sequence=sequence, outcome="already", query_id=planned.query_id, note=note)
    ack = await publish(bus, planned.subject, planned.body, headers=planned.headers)
    await forget_letter(bus, sequence)
    if ack.duplicate:
        note = "another replay was faster"
        return Replayed(sequence=sequence, outcome="already", query_id=planned.query_id, note=note)
    return Replayed(sequence=sequence, outcome="replayed", query_id=planned.query_id)


async def plan(bus: Bus, letter: DeadLetter) -> Resubmission:
    """What a replay would publish.

    Raises:
        NotReplayable: a later stage gave the query up, and the query itself is kept nowhere any more.
    """
    if letter.stage == INGEST.stage:
        headers = _envelope(letter, DOCUMENT_DEADLINE_S).headers(
            message_id=f"{letter.tenant}:{letter.sequence}:replay",
            schema=letter.headers.get(SCHEMA, SCHEMAS[Document]),
        )
        return Resubmission(letter.subject, letter.body, headers)
    if letter.stage == ROUTE.stage:
        renamed, query_id = _renamed(letter.body)
        return _asked_again(letter, letter.subject, renamed, query_id)
    query = await _query(bus, letter)
    query_id = next_id(query.id)
    body = encode(query.model_copy(update={"id": query_id}))
    return _asked_again(letter, subjects.query(letter.tenant), body, query_id)


def next_id(query_id: str) -> str:
    """`q` becomes `q-r1`, `q-r1` becomes `q-r2`; what would be too long is cut and told apart by a hash."""
    found = _AGAIN.match(query_id)
    first, times = (found["first"], int(found["times"]) + 1) if found else (query_id, 1)
    ending = f"-r{times}"
    if len(first) + len(ending) > LONGEST_ID:
        digest = hashlib.sha256(first.encode()).hexdigest()[:12]
        first = f"{first[: LONGEST_ID - len(ending) - len(digest) - 1]}-{digest}"
    return f"{first}{ending}"


def _asked_again(letter: DeadLetter, subject: str, body: bytes, query_id: str) -> Resubmission:
    identity = message_id(letter.tenant, query_id or str(letter.sequence), "query" if query_id else "replay")
    stated = letter.headers.get(SCHEMA) if letter.stage == ROUTE.stage else None
    envelope = _envelope(letter, DEFAULT_DEADLINE_S)
    headers = envelope.headers(message_id=identity, schema=stated or SCHEMAS[Query])
    if letter.query_id:
        headers[REPLAY_OF] = letter.query_id
    return Resubmission(subject, body, headers, query_id)


def _renamed(body: bytes) -> tuple[bytes, str]:
    """The query under its next id; what names none stays as it is, since a later release may read it."""
    try:
        found = from_json(body)
    except ValueError:
        return body, ""
    if not isinstance(found, dict) or not isinstance(found.get("id"), str):
        return body, ""
    if not subjects.is_token(found["id"]):
        return body, ""
    query_id = next_id(found["id"])
    return json.dumps(found | {"id": query_id}).encode(), query_id


async def _query(bus: Bus, letter: DeadLetter) -> Query:
    kept = letter.headers.get(QUERY, "")
    try:
        if kept:
            return decode(Query, kept.encode())
    except (DecodeError, ValidationError) as error:
        raise NotReplayable(f"The query that the letter {letter.sequence} keeps can't be read.") from error
    state = await read_log(bus, letter.tenant, letter.query_id) if letter.query_id else None
    for event in state.events if state else ():
        if isinstance(event, Accepted):
            return event.query
    raise NotReplayable(
        f"The query of the letter {letter.sequence} is not kept with it, "
        f"and the answer log of {letter.query_id or 'its query'!r} is gone."
    )


def _envelope(letter: DeadLetter, default_deadline_s: float) -> Envelope:
    """As much time as the message had when it was published first."""
    granted_ms = letter.deadline - letter.sent_at if letter.deadline and letter.sent_at else 0
    deadline = now_ms() + (granted_ms if granted_ms > 0 else int(default_deadline_s * 1000))
    return Envelope(deadline=deadline, trace_parent=letter.headers.get(TRACE_PARENT, ""))
