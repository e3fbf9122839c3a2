"""What the answer log says about one query."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from contracts import Accepted, Delta, Event, Evidence, Passage, Query, Route, Routed, Rows
from contracts.errors import PermanentError
from workers.generation.support import Source, Support

E = TypeVar("E", Accepted, Routed, Evidence, Rows)


@dataclass(frozen=True)
class Record:
    """`published` is the text of all deltas so far, `published_tokens` what engines spent on it."""

    query: Query
    question: str
    route: Route
    evidence: Evidence | None
    rows: Rows | None
    published: str
    published_tokens: int

    @property
    def passages(self) -> tuple[Passage, ...]:
        return self.evidence.passages if self.evidence else ()

    @cached_property
    def support(self) -> Support:
        """The passages as sources, numbered from 1 in the order of the evidence."""
        return Support(
            [
                Source(number, title_of(found), found.text, (found.document_id, found.chunk_id))
                for number, found in enumerate(self.passages, 1)
            ]
        )

    @property
    def rows_number(self) -> int:
        """The number that cites the rows: the one behind the passages."""
        return len(self.passages) + 1


def read(log: Sequence[Event]) -> Record:
    """A redelivered job may have appended evidence twice: the first counts, as another attempt saw it too."""
    accepted = _first(log, Accepted)
    if accepted is None:
        raise PermanentError("The answer log has no accepted event; it has expired or was purged.")
    routed = _first(log, Routed)
    deltas = [event for event in log if isinstance(event, Delta)]
    return Record(
        query=accepted.query,
        question=(routed.question if routed else "") or accepted.query.question,
        route=routed.route if routed else accepted.query.route or Route.DOCUMENTS,
        evidence=_first(log, Evidence),
        rows=_first(log, Rows),
        published="".join(delta.text for delta in deltas),
        published_tokens=sum(delta.tokens for delta in deltas),
    )


def _first(log: Sequence[Event], kind: type[E]) -> E | None:
    return next((event for event in log if isinstance(event, kind)), None)


def title_of(passage: Passage) -> str:
    parts = [passage.title, *(part for part in passage.heading_path if part != passage.title)]
    return " > ".join(part for part in parts if part)
