"""What a request means before anything is published: tenant, query, deadline, trace."""

import re
import secrets
from typing import Annotated, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from bus.envelope import now_ms
from bus.subjects import token
from contracts import Feedback, Query, Route, Turn
from contracts.errors import InvalidQuery, Unauthorized
from contracts.feedback import Remark
from contracts.query import MAX_HISTORY_TURNS, Name, NonBlank
from workers.bridge.settings import BridgeSettings
from workers.shell.tenants import Caller, Tenants

TRACE_PARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")
MAX_BODY_BYTES = 2_000_000


class AskRequest(BaseModel):
    """The body of `POST /v1/ask`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: NonBlank
    id: Name | None = Field(default=None, description="repeat a request with the same id: it is asked once")
    history: Annotated[tuple[Turn, ...], Field(max_length=MAX_HISTORY_TURNS)] = ()
    route: Route | None = Field(default=None, description="skip the router")
    model: Name = "default"
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    max_tokens: Annotated[int, Field(ge=1, le=8_192)] = 384
    evidence_only: bool = Field(default=False, description="passages or rows, and no text")
    deadline_s: Annotated[float, Field(gt=0)] | None = None
    stream: bool | None = Field(default=None, description="server-sent events; by default as Accept says")

    def query(self) -> Query:
        return Query(
            id=self.id or new_id(),
            question=self.question,
            history=self.history,
            route=self.route,
            model=self.model,
            top_k=self.top_k,
            max_tokens=self.max_tokens,
            evidence_only=self.evidence_only,
        )


class FeedbackRequest(BaseModel):
    """The body of `POST /v1/answers/{id}/feedback`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rating: Literal["up", "down"]
    text: Remark = ""
    route: Route | None = Field(default=None, description="the route that would have been right")

    def feedback(self, query_id: str) -> Feedback:
        """Raises InvalidName."""
        name = token("query id", query_id)
        return Feedback(query_id=name, rating=self.rating, text=self.text, route=self.route)


def new_id() -> str:
    return secrets.token_hex(16)


def caller_of(request: Request, tenants: Tenants) -> Caller:
    """The owner of the bearer key; without any key configured, the only tenant there is."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return tenants.by_key(key.strip()) if tenants.keyed else tenants.only()
    if tenants.keyed:
        raise Unauthorized("The request has no API key.")
    return tenants.only()


def deadline_of(request: Request, wanted_s: float | None, settings: BridgeSettings) -> int:
    """Epoch milliseconds, from the body, the Af-Deadline header or the default, capped by the settings."""
    latest = now_ms() + int(settings.longest_deadline_s * 1000)
    header = request.headers.get("af-deadline")
    if wanted_s is not None:
        return min(latest, now_ms() + int(wanted_s * 1000))
    if header is None:
        return min(latest, now_ms() + int(settings.default_deadline_s * 1000))
    if not (header.isascii() and header.isdigit()):
        raise InvalidQuery(f"Af-Deadline is {header!r}.", remedy="Send epoch milliseconds as digits.")
    return min(latest, int(header))


def trace_parent_of(request: Request) -> str:
    """The caller's W3C trace context; empty where there is none that can be read."""
    given = request.headers.get("traceparent", "")
    return given if TRACE_PARENT.match(given) else ""
