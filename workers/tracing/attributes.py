"""Events and requests as span attributes: https://arize-ai.github.io/openinference/spec/

Numbers, names and ids are always told; texts of people, documents and models as far as `Content` lets them.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

from pydantic import BaseModel

from bus.spans import Attributes, Value
from contracts import (
    Cancelled,
    Done,
    Event,
    Evidence,
    EvidenceJob,
    Failed,
    GenerateJob,
    Passage,
    Query,
    Routed,
    Rows,
    Usage,
)
from contracts.errors import Problem
from workers.engines.port import GenerationRequest, Message
from workers.tracing.content import Content

TEXT, JSON = "text/plain", "application/json"
FIRST_TOKEN = "First Token Stream Event"  # noqa: S105
"""The name that OpenInference's own instrumentations give this moment."""


class End(NamedTuple):
    """How an answer ended; `problem` where it failed."""

    attributes: Attributes
    problem: Problem | None = None


def of_body(tenant: str, body: BaseModel, content: Content) -> Attributes:
    found: dict[str, Value] = {"askfleet.tenant": tenant}
    match body:
        case Query():
            found["askfleet.query_id"] = body.id
            found |= given(body.question, content)
        case EvidenceJob():
            found["askfleet.query_id"] = body.query_id
            found |= given(body.question, content)
        case GenerateJob():
            found["askfleet.query_id"] = body.query_id
    return found


def of_event(event: Event, content: Content) -> Attributes:
    match event:
        case Routed():
            return _routed(event, content)
        case Evidence():
            return _evidence(event, content)
        case Rows():
            return _rows(event, content)
        case Done():
            return _done(event, content)
        case Cancelled():
            return {"askfleet.cancelled": event.reason or "yes"}
    return {}


def ending(last: Event | None, content: Content) -> End:
    """What the span around the whole question says of its end."""
    match last:
        case None:
            return End({"askfleet.end": "not seen by this door"})
        case Failed():
            return End({"askfleet.end": "failed", **problem(last.problem)}, last.problem)
        case Done():
            return End({"askfleet.end": "done", **_done(last, content)})
    return End({"askfleet.end": last.type})


def problem(found: Problem) -> Attributes:
    return {"askfleet.problem": found.code}


def given(text: str, content: Content, mime: str = TEXT) -> Attributes:
    return {"input.value": content.text(text), "input.mime_type": mime} if content.kept else {}


def returned(text: str, content: Content, mime: str = TEXT) -> Attributes:
    return {"output.value": content.text(text), "output.mime_type": mime} if content.kept else {}


def _routed(event: Routed, content: Content) -> Attributes:
    decided = {
        "confidence": round(event.confidence, 4),
        "model_version": event.model_version,
        "probabilities": {route: round(share, 4) for route, share in event.probabilities.items()},
    }
    found: dict[str, Value] = {
        "askfleet.route": event.route.value,
        "askfleet.confidence": event.confidence,
        "askfleet.router.model_version": event.model_version,
        "output.value": json.dumps({"route": event.route.value, **decided}),
        "output.mime_type": JSON,
    }
    found |= {f"askfleet.probability.{route}": share for route, share in event.probabilities.items()}
    if content.kept:
        found["askfleet.reason"] = content.text(event.reason)
        if event.question:
            found["askfleet.question"] = content.text(event.question)
    return found


def _evidence(event: Evidence, content: Content) -> Attributes:
    found: dict[str, Value] = {"askfleet.passages": len(event.passages)}
    if event.problem is not None:
        found |= problem(event.problem)
    return found | dict(documents(event.passages, content))


def documents(passages: Iterable[Passage], content: Content) -> Attributes:
    """`document.id` is the chunk's: scores and contents are of chunks."""
    found: dict[str, Value] = {}
    for number, passage in enumerate(passages):
        place = f"retrieval.documents.{number}.document"
        found[f"{place}.id"] = passage.chunk_id
        found[f"{place}.score"] = passage.score
        about = {"document_id": passage.document_id}
        if content.kept:
            found[f"{place}.content"] = content.text(passage.text)
            about |= {"title": content.text(passage.title), "source": content.text(passage.source)}
        found[f"{place}.metadata"] = json.dumps(about, ensure_ascii=False)
    return found


def _rows(event: Rows, content: Content) -> Attributes:
    found: dict[str, Value] = {
        "tool.name": "sql",
        "db.system.name": "postgresql",
        "db.response.returned_rows": len(event.rows),
        "askfleet.truncated": event.truncated,
        "askfleet.confidence": event.confidence,
    }
    if event.problem is not None:
        found |= problem(event.problem)
    if not content.kept:
        return found
    if event.reason:
        found["askfleet.reason"] = content.text(event.reason)
    if event.statement is not None:
        found["db.query.text"] = content.text(event.statement)
        found["tool.parameters"] = content.text(json.dumps({"statement": event.statement}))
    table = {"columns": event.columns, "rows": event.rows}
    return found | dict(returned(json.dumps(table, ensure_ascii=False), content, JSON))


def _done(event: Done, content: Content) -> Attributes:
    """Token counts stand on the spans of the engine's requests: readers add up what they find."""
    return {
        "askfleet.answered": event.answered,
        "askfleet.citations": len(event.citations),
        "askfleet.tokens": event.usage.completion_tokens,
        **returned(event.text, content),
    }


def of_request(model: str, request: GenerationRequest, content: Content) -> Attributes:
    settings = {"max_tokens": request.max_tokens, "temperature": request.temperature}
    found: dict[str, Value] = {
        "llm.model_name": model,
        "llm.invocation_parameters": json.dumps(settings),
        "askfleet.continued_characters": len(request.prefix),
    }
    if not content.kept:
        return found
    messages = _messages("llm.input_messages", request.messages, content)
    asked = "\n\n".join(text for name, text in messages.items() if name.endswith(".content"))
    return found | messages | {"input.value": asked, "input.mime_type": TEXT}


def of_reply(text: str, content: Content) -> Attributes:
    if not content.kept:
        return {}
    messages = _messages("llm.output_messages", [Message("assistant", text)], content)
    reply = messages["llm.output_messages.0.message.content"]
    return {**messages, "output.value": reply, "output.mime_type": TEXT}


def of_usage(usage: Usage) -> Attributes:
    return {
        "llm.token_count.prompt": usage.prompt_tokens,
        "llm.token_count.completion": usage.completion_tokens,
        "llm.token_count.total": usage.prompt_tokens + usage.completion_tokens,
        "llm.token_count.prompt_details.cache_read": usage.cached_prompt_tokens,
    }


def of_tokens(completion: int) -> Attributes:
    return {"llm.token_count.completion": completion}


def _messages(place: str, messages: Iterable[Message], content: Content) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, message in enumerate(messages):
        found[f"{place}.{number}.message.role"] = message.role
        found[f"{place}.{number}.message.content"] = content.text(message.content)
    return found
