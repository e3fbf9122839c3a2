"""One point, measured in a process of its own: `python -m askfleet.tuning.measurement JOB.json`.

It opens the engine as the worker does, and has each answer written by the worker's own code.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from pydantic import BaseModel, ConfigDict

from askfleet.tuning.questions import Question, read_questions
from askfleet.tuning.sweep import Load, Point
from bus.vitals import Event as VitalEvent
from bus.vitals import Generated, Vitals
from contracts import Accepted, Delta, Done, Event, Evidence, Query, Route, Routed
from contracts.errors import AskfleetError
from workers.engines import Engine, GenerationRequest, Message, open_engine
from workers.engines.measured import MeasuredEngine
from workers.generation.answering import write_answer
from workers.generation.prompt import SYSTEM
from workers.generation.settings import GenerationSettings

_WARM_UP_TOKENS = 4


class Job(BaseModel):
    """What to measure, and where the answers (JSON lines, as they come) and the outcome go."""

    model_config = ConfigDict(frozen=True)

    values: tuple[tuple[str, str], ...]
    questions: Path
    answers: Path
    outcome: Path


class Answer(BaseModel):
    """One answer. `first_text_ms` None: no text came; `problem`: code of the error that ended it.

    `model` is empty where no model was asked, since the evidence did not carry an answer.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    text: str = ""
    answered: bool = False
    model: str = ""
    problem: str = ""
    first_text_ms: float | None = None
    whole_ms: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0


class Outcome(BaseModel):
    """Of the process. `failed` names what kept the engine from starting, empty where nothing did.

    `token_ms` has the mean time between tokens of each request that ran to its end.
    """

    model_config = ConfigDict(frozen=True)

    failed: str = ""
    engine: str = ""
    slots: int = 0
    context_tokens: int = 0
    ready_s: float = 0.0
    asked_s: float = 0.0
    token_ms: tuple[float, ...] = ()


@dataclass
class _Requests:
    """What the engine's vitals tell, as they do in the worker."""

    token_ms: list[float] = field(default_factory=list)

    def observe(self, event: VitalEvent) -> None:
        if isinstance(event, Generated) and event.token_s > 0:
            self.token_ms.append(event.token_s * 1e3)


@dataclass(frozen=True)
class _Asking:
    engine: Engine
    settings: GenerationSettings
    load: Load
    told: TextIO

    async def all(self, questions: Sequence[Question]) -> None:
        """As many at once as the load says; each next one when one is answered."""
        left = iter(questions)
        async with asyncio.TaskGroup() as clients:
            for _ in range(self.load.clients):
                clients.create_task(self._client(left))

    async def _client(self, left: Iterator[Question]) -> None:
        for question in left:
            answer = await self._answer(question)
            self.told.write(f"{answer.model_dump_json()}\n")
            self.told.flush()

    async def _answer(self, question: Question) -> Answer:
        began = time.perf_counter()
        first: float | None = None
        done: Done | None = None
        written = write_answer(self._log(question), engine=self.engine, settings=self.settings)
        try:
            async with aclosing(written):
                async for event in written:
                    if isinstance(event, Delta) and first is None:
                        first = (time.perf_counter() - began) * 1e3
                    done = event if isinstance(event, Done) else None
        except AskfleetError as error:
            return Answer(id=question.id, problem=error.code)
        assert done is not None
        return Answer(
            id=question.id,
            text=done.text,
            answered=done.answered,
            model=done.model,
            first_text_ms=first,
            whole_ms=(time.perf_counter() - began) * 1e3,
            prompt_tokens=done.usage.prompt_tokens,
            cached_tokens=done.usage.cached_prompt_tokens,
            tokens=done.usage.completion_tokens,
        )

    def _log(self, question: Question) -> list[Event]:
        """What the generation worker finds on the answer log of such a question."""
        passages = (question.passages or ())[: self.load.passages]
        query = Query(id="tuning", question=question.question, max_tokens=self.load.max_tokens)
        return [
            Accepted(index=1, tenant="tuning", query=query, deadline=0),
            Routed(index=2, route=Route.DOCUMENTS, confidence=1.0),
            Evidence(index=3, passages=tuple(found.passage(n) for n, found in enumerate(passages, 1))),
        ]


async def measure(job: Job) -> Outcome:
    point = Point(job.values)
    settings, requests = point.settings(), _Requests()
    began = time.perf_counter()
    async with _engine(settings, Vitals(observers=[requests.observe])) as engine:
        ready_s = time.perf_counter() - began
        await _warm_up(engine)
        requests.token_ms.clear()
        asked = time.perf_counter()
        with job.answers.open("w", encoding="utf-8") as told:
            await _Asking(engine, settings, point.load(), told).all(read_questions(job.questions))
        return Outcome(
            engine=engine.name,
            slots=engine.slots,
            context_tokens=engine.context_tokens,
            ready_s=ready_s,
            asked_s=time.perf_counter() - asked,
            token_ms=tuple(requests.token_ms),
        )


@asynccontextmanager
async def _engine(settings: GenerationSettings, vitals: Vitals) -> AsyncIterator[Engine]:
    engine = MeasuredEngine(await open_engine(settings.engine), vitals)
    try:
        yield engine
    finally:
        await engine.close()


async def _warm_up(engine: Engine) -> None:
    """The first request pays for memory that is touched, and the shared beginning of the prompt is cached."""
    messages = (Message("system", SYSTEM), Message("user", "Question: Ready?"))
    pieces = engine.stream(GenerationRequest(messages, max_tokens=_WARM_UP_TOKENS, request_id="warm-up"))
    async with aclosing(pieces):
        async for _ in pieces:
            pass


def main(path: str) -> None:
    job = Job.model_validate_json(Path(path).read_text(encoding="utf-8"))
    try:
        outcome = asyncio.run(measure(job))
    except AskfleetError as error:
        outcome = Outcome(failed=str(error))
    job.outcome.write_text(outcome.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
