"""What travels beside a body: identity, deadline, trace and schema, as message headers."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic_core import from_json

from bus import subjects
from contracts.errors import DeadlineExceeded
from contracts.query import DEFAULT_DEADLINE_S

MESSAGE_ID = "Nats-Msg-Id"
DEADLINE = "Af-Deadline"
TRACE_PARENT = "traceparent"
SCHEMA = "Af-Schema"


def message_id(tenant: str, query_id: str, step: str) -> str:
    """The dedup id of one step of one query. Streams are shared by tenants, so the tenant is in it."""
    return f"{tenant}:{query_id}:{step}"


def query_id_in(found: str) -> str:
    """The query id in a message id of ours, or a plain id as a publisher may choose it."""
    parts = found.split(":")
    return parts[1] if len(parts) == 3 else parts[0]


def query_id_of(body: bytes, identity: str) -> str:
    """The query id in a message's body, or the one in its message id where the body can't be read."""
    try:
        found = from_json(body)
    except ValueError:
        found = None
    named = found.get("query_id") or found.get("id") if isinstance(found, dict) else None
    candidate = named if isinstance(named, str) else query_id_in(identity)
    return candidate if subjects.is_token(candidate) else ""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Envelope:
    """`deadline` is in epoch milliseconds; `message_id` is what the stream drops duplicates by."""

    deadline: int
    message_id: str = ""
    trace_parent: str = ""
    schema: str | None = None

    @classmethod
    def read(
        cls,
        headers: Mapping[str, str] | None,
        *,
        sent_ms: int,
        default_deadline_s: float = DEFAULT_DEADLINE_S,
    ) -> "Envelope":
        """A missing or unreadable deadline is the default one, counted from when the message was stored."""
        found = headers or {}
        return cls(
            deadline=_epoch_ms(found.get(DEADLINE)) or sent_ms + int(default_deadline_s * 1000),
            message_id=found.get(MESSAGE_ID, ""),
            trace_parent=found.get(TRACE_PARENT, ""),
            schema=found.get(SCHEMA),
        )

    def headers(self, *, message_id: str, schema: str) -> dict[str, str]:
        """Headers for what follows from this message: same deadline and trace, its own id and schema."""
        made = {MESSAGE_ID: message_id, SCHEMA: schema, DEADLINE: str(self.deadline)}
        if self.trace_parent:
            made[TRACE_PARENT] = self.trace_parent
        return made

    def remaining_s(self) -> float:
        return (self.deadline - now_ms()) / 1000

    def check_deadline(self) -> None:
        late_s = -self.remaining_s()
        if late_s >= 0:
            raise DeadlineExceeded(f"The deadline {self.deadline} passed {late_s:.1f} s ago.")


def _epoch_ms(value: str | None) -> int:
    return int(value) if value is not None and value.isascii() and value.isdigit() else 0
