"""askfleet's own API: ask, read, resume, cancel, rate."""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response

from bus.vitals import TurnedAway, Vitals
from contracts import Feedback
from contracts.errors import AnswerEnded, Draining, InvalidQuery, QueueFull, Refused
from workers.bridge import tracing
from workers.bridge.answers import Answers, Held, Question
from workers.bridge.limits import Gate
from workers.bridge.pressure import Pressure
from workers.bridge.problems import response as problem_response
from workers.bridge.requests import AskRequest, FeedbackRequest, caller_of, deadline_of, trace_parent_of
from workers.bridge.settings import BridgeSettings
from workers.bridge.snapshot import Snapshot, snapshot
from workers.bridge.sse import EventStream, pieces, resume_elsewhere
from workers.shell.tenants import Caller, Tenants

EVENT_STREAM = "text/event-stream"
DRAINING_RETRY_S = 1.0


@dataclass(frozen=True)
class Asked:
    """A question that is on its way; `headers` go with the response."""

    held: Held
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Door:
    """What every route of the bridge works with."""

    answers: Answers
    settings: BridgeSettings
    tenants: Tenants
    gate: Gate
    pressure: Pressure
    vitals: Vitals

    async def ask(self, caller: Caller, question: Question, *, openai: bool = False) -> Asked:
        """Within the caller's limits.

        Raises:
            Refused: nothing of the question is left anywhere; says when to come again.
        """
        try:
            return await self._ask(caller, question, openai=openai)
        except Refused as error:
            self.vitals.tell(TurnedAway(error.code))
            raise

    async def _ask(self, caller: Caller, question: Question, *, openai: bool) -> Asked:
        self.check_open()
        admission = self.gate.admit(caller, openai=openai)
        release = admission.slot.release
        try:
            held = await self.answers.ask(caller.tenant, question, on_end=release)
        except QueueFull as error:
            release()
            raise QueueFull(error.detail, retry_after_s=self.pressure.refused()) from error
        except BaseException:
            release()
            raise
        traced = tracing.headers(held.asked, self.settings.trace_link)
        return Asked(held, {"af-query-id": question.query.id, **traced, **admission.headers})

    def check_open(self) -> None:
        """Raises Draining."""
        if self.answers.draining:
            raise Draining("This replica takes no more requests.", retry_after_s=DRAINING_RETRY_S)

    def stream(self, held: Held, *, after: int, headers: Mapping[str, str]) -> EventStream:
        return EventStream(
            self._frames(held, after), keep_alive_s=self.settings.keep_alive_s, headers=dict(headers)
        )

    async def whole(self, held: Held) -> Snapshot:
        """The answer once it has ended.

        Raises:
            Draining: this replica stops before that.
        """
        async with self.answers.read(held) as feed:
            async for _ in feed.follow():
                pass
        if not feed.ended:
            raise Draining(
                f"This replica stops, and the answer {held.key.query_id!r} has not ended.",
                retry_after_s=DRAINING_RETRY_S,
                remedy=f"Read it at /v1/answers/{held.key.query_id}; it goes on.",
            )
        return now(held)

    async def _frames(self, held: Held, after: int) -> AsyncGenerator[bytes, None]:
        async with self.answers.read(held) as feed:
            async for entries in feed.follow(after=after):
                for piece in pieces(entries):
                    yield piece
        if not feed.ended:
            yield resume_elsewhere()


def now(held: Held) -> Snapshot:
    """The answer as far as it has come."""
    return snapshot(held.key.query_id, held.feed.events)


def install(app: FastAPI, door: Door) -> None:
    routes = APIRouter(prefix="/v1", tags=["answers"])

    @routes.post("/ask", response_model=Snapshot, summary="Ask a question")
    async def ask(request: Request, body: AskRequest, accept: Annotated[str, Header()] = "") -> Response:
        """Server-sent events where asked for (`Accept: text/event-stream` or `"stream": true`), else JSON."""
        caller = caller_of(request, door.tenants)
        question = Question(
            body.query(),
            deadline=deadline_of(request, body.deadline_s, door.settings),
            trace_parent=trace_parent_of(request),
            abandon_s=door.settings.abandon_s,
            named=body.id is not None,
        )
        asked = await door.ask(caller, question)
        streams = body.stream if body.stream is not None else EVENT_STREAM in accept
        if streams:
            return door.stream(asked.held, after=0, headers=asked.headers)
        return _answer(await door.whole(asked.held), request, asked.headers)

    @routes.get("/answers/{query_id}", response_model=Snapshot, summary="Read or resume an answer")
    async def read(
        request: Request,
        query_id: str,
        accept: Annotated[str, Header()] = "",
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """As server-sent events after `Last-Event-ID`, or as JSON: what the log says by now."""
        tenant = caller_of(request, door.tenants).tenant
        after = _index(last_event_id)
        streams = EVENT_STREAM in accept
        if streams:
            door.check_open()
        held = await door.answers.resume(tenant, query_id)
        if streams:
            return door.stream(held, after=after, headers={"af-query-id": query_id})
        return JSONResponse(now(held).model_dump(mode="json"))

    @routes.delete("/answers/{query_id}", response_model=Snapshot, summary="Cancel an answer")
    async def cancel(request: Request, query_id: str) -> Response:
        """Stops the work on it at once. An answer that has ended stays as it is."""
        tenant = caller_of(request, door.tenants).tenant
        held = await door.answers.resume(tenant, query_id)
        with contextlib.suppress(AnswerEnded):
            await door.answers.cancel(held)
        return JSONResponse((await door.whole(held)).model_dump(mode="json"))

    @routes.post("/answers/{query_id}/feedback", response_model=Feedback, summary="Say whether it helped")
    async def rate(request: Request, query_id: str, body: FeedbackRequest) -> Response:
        """A thumb up or down, with a remark or the route that was right. A later one takes its place."""
        caller = caller_of(request, door.tenants)
        headers = door.gate.take(caller)
        kept = await door.answers.rate(caller.tenant, body.feedback(query_id))
        return JSONResponse(kept.model_dump(mode="json"), headers=dict(headers))

    app.include_router(routes)


def _answer(found: Snapshot, request: Request, headers: Mapping[str, str]) -> Response:
    if found.problem is not None:
        return problem_response(found.problem, request.url.path, headers=headers)
    return JSONResponse(found.model_dump(mode="json"), headers=dict(headers))


def _index(last_event_id: str | None) -> int:
    if last_event_id is None or last_event_id == "":
        return 0
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 10):
        raise InvalidQuery(
            f"Last-Event-ID is {last_event_id[:40]!r}.",
            remedy="Send the id of the last event that was read, or leave the header out.",
        )
    return int(last_event_id)
