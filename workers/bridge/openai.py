"""The OpenAI-compatible door: any OpenAI client works with `base_url` changed.

The last user message is the question, earlier user and assistant messages are the conversation. System
messages are not passed on: the platform's own prompt stands. Sources come in the extra field `sources`.
"""

import contextlib
import json
import time
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from contracts import Cancelled, Delta, Done, Event, Failed, Query, Turn
from contracts.errors import AskfleetError, Draining, InvalidQuery
from contracts.query import MAX_HISTORY_TURNS, MAX_QUESTION_CHARS
from workers.bridge import problems
from workers.bridge.answers import Held, Question
from workers.bridge.api import Asked, Door
from workers.bridge.requests import caller_of, deadline_of, new_id, trace_parent_of
from workers.bridge.snapshot import Snapshot, snapshot
from workers.bridge.sse import EventStream

DEFAULT_MODEL = "askfleet"
LONGEST_TURN = 32_000
DELTA = Delta.model_fields["type"].default


class Part(BaseModel):
    model_config = ConfigDict(frozen=True)

    type: str
    text: str = ""


class ChatMessage(BaseModel):
    model_config = ConfigDict(frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class StreamOptions(BaseModel):
    model_config = ConfigDict(frozen=True)

    include_usage: bool = False


class NamedTool(BaseModel):
    """A function that a client wants to see called."""

    model_config = ConfigDict(frozen=True)

    type: str


class ChatRequest(BaseModel):
    """The part of OpenAI's request that has a meaning here; other fields are accepted and have no effect.

    `tools` are such a field: offered tools may stay uncalled, as by any model. A demanded call is refused.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str = DEFAULT_MODEL
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: Annotated[int, Field(ge=1, le=8_192)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=8_192)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None

    def query(self) -> Query:
        if self.tool_choice == "required" or isinstance(self.tool_choice, NamedTool):
            raise InvalidQuery(
                "tool_choice: a call is demanded, and an answer from evidence has none: the platform itself "
                "searches the documents and asks the database.",
                remedy="Leave tool_choice out; tools that are offered are not called.",
            )
        turns = [message for message in self.messages if message.role in ("user", "assistant")]
        if not turns or turns[-1].role != "user" or not turns[-1].text.strip():
            raise InvalidQuery(
                "messages: the last message is not a user's question.",
                remedy="End the messages with one of role 'user' that has text.",
            )
        if len(turns[-1].text) > MAX_QUESTION_CHARS:
            raise InvalidQuery(
                f"messages: the question has {len(turns[-1].text)} characters.",
                remedy=f"Ask with at most {MAX_QUESTION_CHARS} characters.",
            )
        return Query(
            id=new_id(),
            question=turns[-1].text,
            history=tuple(_turn(message) for message in turns[:-1][-MAX_HISTORY_TURNS:]),
            model="default" if self.model == DEFAULT_MODEL else self.model,
            max_tokens=self.max_completion_tokens or self.max_tokens or 384,
        )


def install(app: FastAPI, door: Door) -> None:
    routes = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])
    models = (DEFAULT_MODEL, *(name for name in door.settings.models.split(",") if name != "default"))

    @routes.get("/models", summary="List the models")
    async def list_models(request: Request) -> dict[str, Any]:
        caller_of(request, door.tenants)
        return {
            "object": "list",
            "data": [
                {"id": name, "object": "model", "created": 0, "owned_by": "askfleet"} for name in models
            ],
        }

    @routes.post("/chat/completions", summary="Answer the last message of a conversation")
    async def complete(request: Request, body: ChatRequest) -> Response:
        caller = caller_of(request, door.tenants)
        if body.model not in models:
            raise InvalidQuery(
                f"model: {body.model!r} is not served.", remedy=f"Use one of {', '.join(models)}."
            )
        question = Question(
            body.query(),
            deadline=deadline_of(request, None, door.settings),
            trace_parent=trace_parent_of(request),
            abandon_s=0.0,
        )
        asked = await door.ask(caller, question, openai=True)
        if body.stream:
            return _stream(door, asked, body)
        return await _whole(door, asked, body, request)

    app.include_router(routes)


def _stream(door: Door, asked: Asked, body: ChatRequest) -> EventStream:
    return EventStream(
        _chunks(door, asked.held, body),
        keep_alive_s=door.settings.keep_alive_s,
        headers=dict(asked.headers),
        on_disconnect=lambda: _give_up(door, asked.held),
    )


async def _give_up(door: Door, held: Held) -> None:
    """OpenAI's protocol has no resume: a client that went will not come back for this answer."""
    with contextlib.suppress(AskfleetError):
        await door.answers.cancel(held)


async def _whole(door: Door, asked: Asked, body: ChatRequest, request: Request) -> Response:
    found = await door.whole(asked.held)
    if found.problem is not None:
        return problems.response(found.problem, request.url.path, headers=asked.headers)
    message = {"role": "assistant", "content": found.text}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    content = _head(found.id, body, "chat.completion") | {
        "choices": [choice],
        "usage": _usage(found),
        "sources": _sources(found),
    }
    return JSONResponse(content, headers=dict(asked.headers))


async def _chunks(door: Door, held: Held, body: ChatRequest) -> AsyncGenerator[bytes, None]:
    head = _head(held.key.query_id, body, "chat.completion.chunk")
    yield _data(head | {"choices": [_choice({"role": "assistant", "content": ""})]})
    async with door.answers.read(held) as feed:
        async for entries in feed.follow():
            events = [entry.event for entry in entries if entry.type == DELTA]
            text = "".join(event.text for event in events if isinstance(event, Delta))
            if text:
                yield _data(head | {"choices": [_choice({"content": text})]})
    if feed.ended:
        events = feed.events
        yield _ending(head, snapshot(held.key.query_id, events), events[-1], body)
    else:
        await _give_up(door, held)
        problem = Draining("This replica stops before the answer has ended.").problem()
        yield _data({"error": problems.openai_error(problem)}) + b"data: [DONE]\n\n"


def _ending(head: dict[str, Any], found: Snapshot, last: Event, body: ChatRequest) -> bytes:
    if isinstance(last, Failed):
        return _data({"error": problems.openai_error(last.problem)}) + b"data: [DONE]\n\n"
    reason = last.finish_reason if isinstance(last, Done) else "stop"
    closing = head | {"choices": [_choice({}, reason)], "sources": _sources(found)}
    if isinstance(last, Cancelled):
        closing["cancelled"] = last.reason
    frames = _data(closing)
    if body.stream_options.include_usage:
        frames += _data(head | {"choices": [], "usage": _usage(found)})
    return frames + b"data: [DONE]\n\n"


def _head(query_id: str, body: ChatRequest, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{query_id}", "object": kind, "created": int(time.time()), "model": body.model}


def _choice(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}


def _data(content: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def _usage(found: Snapshot) -> dict[str, Any]:
    usage = found.usage
    prompt, completion = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
    cached = usage.cached_prompt_tokens if usage else 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _sources(found: Snapshot) -> list[dict[str, Any]]:
    """What the `[n]` of the text stand for, with the passage's text or the statement.

    `document` and `metadata` say the same in the shape that Open WebUI shows.
    """
    passages = {passage.chunk_id: passage for passage in found.passages}
    made = []
    for citation in found.citations:
        source = citation.model_dump()
        if citation.kind == "passage" and citation.chunk_id in passages:
            source["text"] = passages[citation.chunk_id].text
        if citation.kind == "rows" and found.rows is not None:
            source["statement"] = found.rows.statement
        source["document"] = [source.get("text") or source.get("statement") or ""]
        source["metadata"] = [{"source": citation.source, "name": citation.title}]
        made.append(source)
    return made


def _turn(message: ChatMessage) -> Turn:
    role: Literal["user", "assistant"] = "user" if message.role == "user" else "assistant"
    return Turn(role=role, content=message.text[:LONGEST_TURN])
