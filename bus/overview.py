"""What waits, what is in work and who works, at one moment, from JetStream's API alone."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from bus import subjects
from bus.connection import Bus
from bus.envelope import now_ms
from bus.jetstream import ConsumerInfo, JetStreamApi
from bus.presence import GATHER_S, Presence, gather_presences
from bus.stored import epoch_ms
from bus.topology import ANSWERS, DLQ, STAGES, Stream
from contracts.errors import AskfleetError, DependencyUnavailable

TIMEOUT_S = 2.0

T = TypeVar("T")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class ConsumerView(_View):
    """One lane of a stage. `problem` says why its numbers are not there."""

    durable: str
    lane: str = ""
    waiting: int = Field(default=0, description="never delivered yet")
    in_work: int = Field(default=0, description="delivered and not yet settled")
    redelivered: int = Field(default=0, description="of those in work: delivered before")
    oldest_age_s: float = Field(default=0.0, description="of what waits")
    problem: str = ""


class StageView(_View):
    """Sums over the stage's consumers. `stored` is all that its stream holds, in work included."""

    stage: str
    stream: str
    stored: int = 0
    bytes: int = 0
    limit: int = Field(default=0, description="messages that the stream takes before it refuses more")
    waiting: int = 0
    in_work: int = 0
    redelivered: int = 0
    oldest_age_s: float = 0.0
    dead: int = Field(default=0, description="its dead letters")
    workers: int = Field(default=0, description="processes that answered")
    consumers: tuple[ConsumerView, ...] = ()
    problem: str = ""

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(filter(None, [self.problem, *(consumer.problem for consumer in self.consumers)]))


class AnswersView(_View):
    """The stream of answer logs."""

    answers: int = Field(default=0, description="queries whose log is kept")
    events: int = 0
    bytes: int = 0


class Overview(_View):
    """A part that could not be read is named in `problems`; the others hold."""

    at: int = Field(description="epoch milliseconds")
    stages: tuple[StageView, ...]
    answers: AnswersView
    dead: dict[str, int] = Field(description="dead letters by stage")
    workers: tuple[Presence, ...] = ()
    guests: tuple[Presence, ...] = Field(default=(), description="workers of neighbouring clusters")
    problems: tuple[str, ...] = ()

    def stage(self, name: str) -> StageView:
        return next(view for view in self.stages if view.stage == name)


async def read_overview(bus: Bus, *, within_s: float = TIMEOUT_S, gather_s: float = GATHER_S) -> Overview:
    """All numbers at once, in about `gather_s`; cheap enough for once a second.

    A stage costs two requests, and at most two more for each of its consumers. Where something waits for
    ingest, the oldest waiting document travels with its content.

    Args:
        within_s: how long one request may take.
        gather_s: how long workers have to answer.

    Raises:
        DependencyUnavailable: NATS answered nothing at all.
    """
    api = JetStreamApi(bus, within_s)
    dead, answers, workers, stages = await asyncio.gather(
        _part(_dead(api), {}),
        _part(_answers(api), AnswersView()),
        _part(gather_presences(bus, within_s=gather_s, guests=True), ()),
        asyncio.gather(*(_part(_stage(api, stream), _empty(stream)) for stream in STAGES.values())),
    )
    if dead.problem and answers.problem and all(part.problem for part in stages):
        raise DependencyUnavailable(
            f"JetStream at {bus.settings.nats_url} tells nothing: {dead.problem}",
            remedy="Check the address, and that the credentials may read streams and consumers.",
        )
    own = tuple(presence for presence in workers.value if not presence.guest)
    views = tuple(_completed(part, dead.value, own) for part in stages)
    problems = [dead.problem, answers.problem, workers.problem]
    return Overview(
        at=now_ms(),
        stages=views,
        answers=answers.value,
        dead=dead.value,
        workers=own,
        guests=tuple(presence for presence in workers.value if presence.guest),
        problems=tuple(filter(None, [*problems, *(text for view in views for text in view.problems)])),
    )


def _completed(part: "_Part[StageView]", dead: dict[str, int], workers: Sequence[Presence]) -> StageView:
    stage = part.value.stage
    return part.value.model_copy(
        update={
            "problem": part.problem or part.value.problem,
            "dead": dead.get(stage, 0),
            "workers": sum(presence.stage == stage for presence in workers),
        }
    )


@dataclass(frozen=True)
class _Part(Generic[T]):
    value: T
    problem: str = ""


async def _part(reading: Awaitable[T], otherwise: T) -> _Part[T]:
    """What could not be read does not hide the rest."""
    try:
        return _Part(await reading)
    except AskfleetError as error:
        return _Part(otherwise, error.detail)


def _empty(stream: Stream) -> StageView:
    return StageView(stage=stream.stage, stream=stream.name, limit=stream.max_msgs)


async def _stage(api: JetStreamApi, stream: Stream) -> StageView:
    info, names = await asyncio.gather(api.stream(stream.name), _part(api.consumers(stream.name), []))
    expected = [consumer.durable for consumer in stream.consumers]
    further = sorted(set(names.value) - set(expected))
    parts = await asyncio.gather(*(_consumer(api, stream, durable) for durable in [*expected, *further]))
    return _empty(stream).model_copy(
        update={
            "stored": info.state.messages,
            "bytes": info.state.bytes,
            "waiting": sum(part.waiting for part in parts),
            "in_work": sum(part.in_work for part in parts),
            "redelivered": sum(part.redelivered for part in parts),
            "oldest_age_s": max((part.oldest_age_s for part in parts), default=0.0),
            "consumers": tuple(parts),
            "problem": names.problem,
        }
    )


async def _consumer(api: JetStreamApi, stream: Stream, durable: str) -> ConsumerView:
    try:
        info = await api.consumer(stream.name, durable)
    except AskfleetError as error:
        return ConsumerView(durable=durable, problem=error.detail)
    age = await _part(_oldest_age_s(api, stream, info), 0.0)
    return ConsumerView(
        durable=durable,
        lane=subjects.lane_of(info.config.filter_subject).value,
        waiting=info.num_pending,
        in_work=info.num_ack_pending,
        redelivered=info.num_redelivered,
        oldest_age_s=age.value,
        problem=age.problem,
    )


async def _oldest_age_s(api: JetStreamApi, stream: Stream, info: ConsumerInfo) -> float:
    """By the server's clock; 0 when nothing waits, or when it was taken meanwhile."""
    if info.num_pending == 0:
        return 0.0
    stored_at = await api.next_stored_at(
        stream.name, info.config.filter_subject or stream.subject, info.delivered.stream_seq + 1
    )
    return max(0.0, (epoch_ms(info.ts) - epoch_ms(stored_at)) / 1000) if stored_at else 0.0


async def _dead(api: JetStreamApi) -> dict[str, int]:
    state = (await api.stream(DLQ.name, subjects_filter=subjects.DEAD)).state
    counts: dict[str, int] = {}
    for subject, count in state.subjects.items():
        stage = subjects.stage_of_dead(subject)
        counts[stage] = counts.get(stage, 0) + count
    return counts


async def _answers(api: JetStreamApi) -> AnswersView:
    state = (await api.stream(ANSWERS.name)).state
    return AnswersView(answers=state.num_subjects, events=state.messages, bytes=state.bytes)
