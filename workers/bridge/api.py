"""askfleet's own API: ask, read, resume, cancel."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response

from contracts.errors import AnswerEnded, InvalidQuery
from workers.bridge.answers import Answers
from workers.bridge.problems import response as problem_response
from workers.bridge.requests import AskRequest, deadline_of, tenant_of, trace_parent_of
from workers.bridge.settings import BridgeSettings
from workers.bridge.snapshot import Snapshot, snapshot
from workers.bridge.sse import EventStream, frame
from workers.shell.tenants import Tenants

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Door:
    """What every route of the bridge works with."""

    answers: Answers
    settings: BridgeSettings
    tenants: Tenants

    def stream(self, tenant: str, query_id: str, *, after: int) -> EventStream:
        return EventStream(
            self._frames(tenant, query_id, after),
            keep_alive_s=self.settings.keep_alive_s,
            headers={"af-query-id": query_id},
        )

    async def whole(self, tenant: str, query_id: str) -> Snapshot:
        """The answer once it has ended."""
        async for _ in self.answers.events(tenant, query_id):
            pass
        return self.now(tenant, query_id)

    def now(self, tenant: str, query_id: str) -> Snapshot:
        return snapshot(query_id, self.answers.seen(tenant, query_id))

    async def _frames(self, tenant: str, query_id: str, after: int) -> AsyncGenerator[bytes, None]:
        events = self.answers.events(tenant, query_id, after=after)
        async with contextlib.aclosing(events):
            async for batch in events:
                yield b"".join(map(frame, batch))


def install(app: FastAPI, door: Door) -> None:
    routes = APIRouter(prefix="/v1", tags=["answers"])

    @routes.post("/ask", response_model=Snapshot, summary="Ask a question")
    async def ask(request: Request, body: AskRequest, accept: Annotated[str, Header()] = "") -> Response:
        """Server-sent events where asked for (`Accept: text/event-stream` or `"stream": true`), else JSON."""
        tenant = tenant_of(request, door.tenants)
        query = body.query()
        deadline = deadline_of(request, body.deadline_s, door.settings)
        await door.answers.ask(
            tenant,
            query,
            deadline=deadline,
            trace_parent=trace_parent_of(request),
            abandon_s=door.settings.abandon_s,
        )
        streams = body.stream if body.stream is not None else EVENT_STREAM in accept
        if streams:
            return door.stream(tenant, query.id, after=0)
        return _answer(await door.whole(tenant, query.id), request)

    @routes.get("/answers/{query_id}", response_model=Snapshot, summary="Read or resume an answer")
    async def read(
        request: Request,
        query_id: str,
        accept: Annotated[str, Header()] = "",
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """As server-sent events after `Last-Event-ID`, or as JSON: what the log says by now."""
        tenant = tenant_of(request, door.tenants)
        await door.answers.resume(tenant, query_id)
        if EVENT_STREAM in accept:
            return door.stream(tenant, query_id, after=_index(last_event_id))
        return JSONResponse(door.now(tenant, query_id).model_dump(mode="json"))

    @routes.delete("/answers/{query_id}", response_model=Snapshot, summary="Cancel an answer")
    async def cancel(request: Request, query_id: str) -> Response:
        """Stops the work on it at once. An answer that has ended stays as it is."""
        tenant = tenant_of(request, door.tenants)
        await door.answers.resume(tenant, query_id)
        with contextlib.suppress(AnswerEnded):
            await door.answers.cancel(tenant, query_id)
        return JSONResponse((await door.whole(tenant, query_id)).model_dump(mode="json"))

    app.include_router(routes)


def _answer(found: Snapshot, request: Request) -> Response:
    if found.problem is not None:
        return problem_response(found.problem, request.url.path)
    return JSONResponse(found.model_dump(mode="json"), headers={"af-query-id": found.id})


def _index(last_event_id: str | None) -> int:
    if last_event_id is None or last_event_id == "":
        return 0
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 10):
        raise InvalidQuery(
            f"Last-Event-ID is {last_event_id[:40]!r}.",
            remedy="Send the id of the last event that was read, or leave the header out.",
        )
    return int(last_event_id)
