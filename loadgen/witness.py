"""What one client can say about its query, and what a run knows of the faults that it made."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bus.subjects import AnswerKey


class Outcome(enum.StrEnum):
    """What the door said. `UNKNOWN`: the connection was lost before it said anything, or it answered 5xx."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Seen(NamedTuple):
    """One event as a client read it: the SSE id (or the event's index on NATS) and the event's JSON."""

    id: int
    data: bytes


@dataclass(frozen=True)
class Witness:
    """All connections of one client together, in the order in which they were read.

    Args:
        deadline: epoch milliseconds.
        whole: the last connection was read to its end.
    """

    tenant: str
    query_id: str
    outcome: Outcome
    deadline: int
    seen: Sequence[Seen] = ()
    whole: bool = False

    @property
    def key(self) -> AnswerKey:
        return AnswerKey(self.tenant, self.query_id)


@dataclass(frozen=True)
class Pause:
    """A time that a promise leaves out: a process was stopped (`pid`), or NATS was away for all (0).

    Times in epoch milliseconds.
    """

    since: int
    until: int
    pid: int = 0


@dataclass(frozen=True)
class EngineUse:
    """One request inside an engine. `ended` 0: no end is known: it runs, or its process was killed."""

    query_id: str
    pid: int
    began: int
    ended: int = 0
    tokens: int = 0
    aborted: bool = False


@dataclass(frozen=True)
class StatementUse:
    """A statement that PostgreSQL was seen to work on, first and last; epoch milliseconds."""

    query_id: str
    pid: int
    began: int
    seen: int
