"""What became of the latest answers, and how long each stage took, as their logs say."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bus import subjects
from bus.connection import Bus
from bus.dead_letter import trace_id_of
from bus.entry import read_entry
from bus.envelope import TRACE_PARENT
from bus.jetstream import JetStreamApi
from bus.stored import Stored, read_batch
from bus.subjects import AnswerKey
from bus.topology import ANSWERS
from contracts import Accepted, Cancelled, Delta, Done, Event, Evidence, Failed, Routed, Rows
from contracts.errors import DecodeError

KEPT = 200
WINDOW = 4_000
"""Events are read from so far behind the end; of an answer that began before, what follows is told."""
QUESTION_CHARS = 200

State = Literal["running", "done", "failed", "cancelled"]


class Recent(BaseModel):
    """One answer. Times are milliseconds; a stage that has not ended, or was not needed, has none."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    id: str
    state: State = "running"
    question: str = ""
    route: str = ""
    problem: str = ""
    trace_id: str = ""
    began_at: int = Field(default=0, description="epoch milliseconds, when a router took it")
    router_ms: int | None = None
    retrieval_ms: int | None = None
    sql_ms: int | None = None
    first_words_ms: int | None = Field(default=None, description="from the last evidence to the first text")
    writing_ms: int | None = None
    total_ms: int | None = None


@dataclass
class _Story:
    """The moments of one answer, in epoch milliseconds; 0 where it has not come so far."""

    key: AnswerKey
    accepted: Accepted | None = None
    routed: Routed | None = None
    evidence_at: int = 0
    rows_at: int = 0
    words_at: int = 0
    ended_at: int = 0
    state: State = "running"
    problem: str = ""
    trace_id: str = ""

    def tell(self, event: Event) -> None:
        match event:
            case Accepted():
                self.accepted = event
            case Routed():
                self.routed = event
            case Evidence():
                self.evidence_at = event.at
            case Rows():
                self.rows_at = event.at
            case Delta():
                self.words_at = self.words_at or event.at
            case Done() | Failed() | Cancelled():
                self.ended_at, self.state = event.at, event.type
                self.problem = event.problem.detail if isinstance(event, Failed) else ""

    def summary(self) -> Recent:
        began = self.accepted.at if self.accepted else 0
        routed = self.routed.at if self.routed else 0
        ready = max(routed, self.evidence_at, self.rows_at) if routed else 0
        return Recent(
            tenant=self.key.tenant,
            id=self.key.query_id,
            state=self.state,
            question=self.accepted.query.question[:QUESTION_CHARS] if self.accepted else "",
            route=self.routed.route if self.routed else "",
            problem=self.problem,
            trace_id=self.trace_id,
            began_at=began,
            router_ms=_between(began, routed),
            retrieval_ms=_between(routed, self.evidence_at),
            sql_ms=_between(routed, self.rows_at),
            first_words_ms=_between(ready, self.words_at),
            writing_ms=_between(self.words_at, self.ended_at),
            total_ms=_between(began, self.ended_at),
        )


@dataclass
class RecentAnswers:
    """Reads on from where it read last, and only while somebody looks."""

    bus: Bus
    _stories: dict[AnswerKey, _Story] = field(default_factory=dict)
    _next: int = 0

    async def read(self) -> tuple[Recent, ...]:
        """The latest first.

        Raises:
            DependencyUnavailable: NATS did not answer.
        """
        api = JetStreamApi(self.bus, self.bus.settings.publish_timeout_s)
        last = (await api.stream(ANSWERS.name)).state.last_seq
        following = max(self._next, last - WINDOW + 1)
        while following <= last:
            batch = await read_batch(self.bus, ANSWERS.name, subjects.ANSWER, from_sequence=following)
            if not batch.messages:
                break
            self._take(batch.messages)
            following = batch.messages[-1].sequence + 1
        self._next = last + 1
        return tuple(story.summary() for story in reversed(self._stories.values()))

    def _take(self, messages: Iterable[Stored]) -> None:
        for message in messages:
            key = subjects.answer_key(message.subject)
            story = self._stories.setdefault(key, _Story(key))
            story.trace_id = story.trace_id or trace_id_of(message.headers.get(TRACE_PARENT, ""))
            try:
                entry = read_entry(message.body)
                if entry.type != "delta" or not story.words_at:
                    story.tell(entry.event)
            except DecodeError:
                continue  # What a later release wrote is told by those that can read it.
        for key in list(self._stories)[:-KEPT]:
            del self._stories[key]


def _between(first: int, then: int) -> int | None:
    return max(0, then - first) if first and then else None
