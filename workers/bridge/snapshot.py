"""An answer as one JSON object: what the log says so far."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from contracts import (
    Accepted,
    Cancelled,
    Citation,
    Delta,
    Done,
    Event,
    Evidence,
    Failed,
    Passage,
    Routed,
    Rows,
    Usage,
)
from contracts.errors import Problem

Status = Literal["queued", "running", "done", "failed", "cancelled"]


class Snapshot(BaseModel):
    """`status` is `queued` until the router has taken the query."""

    model_config = ConfigDict(frozen=True)

    id: str
    status: Status
    question: str = ""
    route: Routed | None = None
    passages: tuple[Passage, ...] = ()
    rows: Rows | None = None
    text: str = ""
    answered: bool = False
    citations: tuple[Citation, ...] = ()
    usage: Usage | None = None
    model: str = ""
    problem: Problem | None = None
    last_event_id: int = 0


def snapshot(query_id: str, events: Sequence[Event]) -> Snapshot:
    last = events[-1] if events else None
    done = last if isinstance(last, Done) else None
    accepted = next((event for event in events if isinstance(event, Accepted)), None)
    evidence = next((event for event in events if isinstance(event, Evidence)), None)
    streamed = "".join(event.text for event in events if isinstance(event, Delta))
    return Snapshot(
        id=query_id,
        status=_status(last),
        question=accepted.query.question if accepted else "",
        route=next((event for event in events if isinstance(event, Routed)), None),
        passages=evidence.passages if evidence else (),
        rows=next((event for event in events if isinstance(event, Rows)), None),
        text=done.text if done else streamed,
        answered=done.answered if done else False,
        citations=done.citations if done else (),
        usage=done.usage if done else None,
        model=done.model if done else "",
        problem=last.problem if isinstance(last, Failed) else None,
        last_event_id=last.index if last else 0,
    )


def _status(last: Event | None) -> Status:
    match last:
        case None:
            return "queued"
        case Done():
            return "done"
        case Failed():
            return "failed"
        case Cancelled():
            return "cancelled"
    return "running"
