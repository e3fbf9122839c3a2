"""Errors over HTTP: RFC 9457 for our own API, OpenAI's shape below /v1/chat and /v1/models."""

import math
from collections.abc import Mapping

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from contracts.errors import AskfleetError, InvalidQuery, Problem, Refused, TransientError
from workers.bridge.limits import LimitReached

log = structlog.get_logger(__name__)

OPENAI_PATHS = ("/v1/chat/", "/v1/models")
SHOWN_CHARS = 80
UNAVAILABLE_RETRY_S = 2


def install(app: FastAPI) -> None:
    app.add_exception_handler(AskfleetError, _on_ours)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


def response(problem: Problem, path: str, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    headers = dict(headers or {})
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if path.startswith(OPENAI_PATHS):
        return JSONResponse({"error": openai_error(problem)}, problem.status, headers)
    return JSONResponse(
        problem.model_dump() | {"instance": path},
        problem.status,
        headers,
        media_type="application/problem+json",
    )


def openai_error(problem: Problem) -> dict[str, str | None]:
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(
        problem.status, "invalid_request_error" if problem.status < 500 else "server_error"
    )
    message = f"{problem.detail} {problem.remedy}"
    return {"message": message, "type": kind, "param": None, "code": problem.code}


async def _on_ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AskfleetError)
    return response(error.problem(), request.url.path, headers=_headers_of(error))


def _headers_of(error: AskfleetError) -> dict[str, str]:
    if isinstance(error, LimitReached):
        return {**error.headers, "Retry-After": str(math.ceil(error.retry_after_s))}
    if isinstance(error, Refused):
        return {"Retry-After": str(math.ceil(error.retry_after_s))}
    return {"Retry-After": str(UNAVAILABLE_RETRY_S)} if isinstance(error, TransientError) else {}


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    value = repr(first.get("input"))
    shown = value if len(value) <= SHOWN_CHARS else f"{value[: SHOWN_CHARS - 3]}..."
    invalid = InvalidQuery(
        f"{where}: {first['msg']} (got {shown}).", remedy="See the request's shape at /docs."
    )
    return response(invalid.problem(), request.url.path)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    problem = Problem(
        type="about:blank",
        title=str(error.detail),
        status=error.status_code,
        detail=f"{request.method} {request.url.path}: {error.detail}.",
        code="http",
        remedy="See the paths at /docs.",
    )
    return response(problem, request.url.path)


def body_too_large(size: int, limit: int) -> Problem:
    detail = f"The body has {size} bytes or more; the limit is {limit}."
    return InvalidQuery(detail, remedy="Send less.").problem().model_copy(update={"status": 413})
