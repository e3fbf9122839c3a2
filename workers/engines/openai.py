"""Any server that speaks OpenAI's chat completions: vLLM, SGLang, llama-server, a hosted one."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Literal

import httpx
import structlog

from contracts import Usage
from contracts.errors import (
    AskfleetError,
    ContextOverflow,
    DependencyUnavailable,
    Misconfigured,
    PermanentError,
)
from workers.engines.chunks import CallsSoFar, Chunk, finish_of, text_of, usage_of
from workers.engines.inert import inert
from workers.engines.port import Abilities, FinishReason, GenerationRequest, Piece
from workers.engines.schemas import parsed
from workers.engines.vocabulary import estimate

_CONNECT_TIMEOUT_S = 5.0
_PROBE_PAUSE_S = 1.0
_BUSY = frozenset({408, 409, 425, 429})
_OVERFLOW_WORDS = ("context length", "context_length", "context size", "maximum context", "too many tokens")
_DONE = b"[DONE]"

Continuation = Literal["vllm", "assistant"]
Structured = Literal["vllm", "llama-server", "openai", "none"]
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Endpoint:
    """A server; `model` empty: the first that it serves; `context_tokens` None: what it says, else 4096.

    `adapters`: by our name, the model name under which the server has it. `unreachable_s`: so long a request
    tries to connect; 0: once.
    """

    url: str
    api_key: str = ""
    model: str = ""
    context_tokens: int | None = None
    continuation: Continuation = "vllm"
    structured: Structured = "vllm"
    tools: bool = False
    adapters: Mapping[str, str] = field(default_factory=dict)
    silence_s: float = 60.0
    unreachable_s: float = 0.0
    start_timeout_s: float = 600.0


class OpenAIEngine:
    """Closing a stream closes its connection; the server aborts the request when it sees that."""

    def __init__(self, endpoint: Endpoint, *, slots: int = 64) -> None:
        self.name = endpoint.model
        self.slots = slots
        self.context_tokens = endpoint.context_tokens or 4_096
        self.abilities = Abilities(
            grammar=endpoint.structured in ("vllm", "llama-server"),
            json_schema=endpoint.structured != "none",
            tools=endpoint.tools,
            adapters=tuple(endpoint.adapters),
        )
        self._endpoint = endpoint
        self._free = asyncio.Semaphore(slots)
        self._in_flight = 0
        headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        self._client = httpx.AsyncClient(
            base_url=endpoint.url.rstrip("/"),
            headers=headers,
            timeout=httpx.Timeout(endpoint.silence_s, connect=_CONNECT_TIMEOUT_S, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=slots),
            trust_env=False,
        )

    async def start(self) -> None:
        """Wait for the server (one that loads a large model takes minutes) and learn what it serves.

        Raises:
            Misconfigured: the key is refused, or the model is not served.
            DependencyUnavailable: no answer within `start_timeout_s`.
        """
        clock = asyncio.get_running_loop().time
        give_up = clock() + self._endpoint.start_timeout_s
        while True:
            try:
                self._learn(await self._models())
                return
            except DependencyUnavailable as error:
                if clock() >= give_up:
                    raise
                log.warning(
                    "engine server does not answer; trying again until the start timeout",
                    action="engine-wait",
                    url=self._endpoint.url,
                    reason=error.detail,
                )
            await asyncio.sleep(_PROBE_PAUSE_S)

    async def _models(self) -> list[Chunk]:
        with _as_unavailable(self._endpoint.url):
            answer = await self._client.get("/models")
        if answer.status_code == httpx.codes.NOT_FOUND and self._endpoint.model:
            return [{"id": name} for name in (self._endpoint.model, *self._endpoint.adapters.values())]
        if answer.is_error:
            raise _refusal(answer.status_code, answer.content, self._endpoint)
        return list(answer.json()["data"])

    def _learn(self, models: list[Chunk]) -> None:
        served = {str(model["id"]): model for model in models}
        self.name = self._endpoint.model or next(iter(served), "")
        settings = dict.fromkeys(self._endpoint.adapters.values(), "AF_ENGINE_ADAPTERS")
        for name, setting in (settings | {self.name: "AF_ENGINE_MODEL"}).items():
            if name not in served:
                raise Misconfigured(
                    f"The server at {self._endpoint.url} does not serve the model {name!r}.",
                    remedy=f"Set {setting} to one of: {', '.join(served) or 'none is served'}.",
                )
        limit = served[self.name].get("max_model_len")
        if self._endpoint.context_tokens is None and limit:
            self.context_tokens = int(limit)

    async def close(self) -> None:
        await self._client.aclose()

    def in_flight(self) -> int:
        return self._in_flight

    def count_tokens(self, text: str) -> int:
        return estimate(text)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        self.abilities.check(request)
        body = json.dumps(_body(request, self.name, self._endpoint)).encode()
        self._in_flight += 1
        try:
            async with self._free, self._open(body, request) as response:
                async for piece in _pieces(response, self._endpoint):
                    yield piece
        finally:
            self._in_flight -= 1

    @asynccontextmanager
    async def _open(self, body: bytes, asked: GenerationRequest) -> AsyncIterator[httpx.Response]:
        found = {"X-Request-Id": asked.request_id, "traceparent": asked.trace_parent}
        headers = {"Content-Type": "application/json"} | {
            name: value for name, value in found.items() if value
        }
        request = self._client.build_request("POST", "/chat/completions", content=body, headers=headers)
        with _as_unavailable(self._endpoint.url):
            async with aclosing(await self._send(request)) as response:
                if response.is_error:
                    raise _refusal(response.status_code, await response.aread(), self._endpoint)
                yield response

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """Where no connection comes about, nothing was begun: that costs no attempt at the whole message."""
        clock = asyncio.get_running_loop().time
        give_up = clock() + self._endpoint.unreachable_s
        while True:
            try:
                return await self._client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if clock() >= give_up:
                    raise
            await asyncio.sleep(_PROBE_PAUSE_S)


@contextmanager
def _as_unavailable(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise DependencyUnavailable(f"{url}: {type(error).__name__}: {error or 'no answer'}.") from error


async def _pieces(response: httpx.Response, endpoint: Endpoint) -> AsyncGenerator[Piece, None]:
    """Tokens that arrive in one read leave as one piece.

    Raises: DependencyUnavailable: the stream ended before the answer did; what the server refuses that late.
    """
    finish: FinishReason | None = None
    usage = Usage()
    calls = CallsSoFar()
    async for events in _events(response):
        for event in events:
            if "error" in event:
                raise _failure(event["error"], endpoint)
            finish = finish_of(event) or finish
            usage = usage_of(event) or usage
            calls.add(event)
        texts = [text for event in events if (text := text_of(event))]
        if texts:
            yield Piece("".join(texts), tokens=len(texts))
    if finish is None:
        raise DependencyUnavailable("The engine's server ended the stream in the middle of an answer.")
    yield Piece("", tokens=0, finish_reason=finish, usage=usage, tool_calls=calls.whole())


async def _events(response: httpx.Response) -> AsyncIterator[list[Chunk]]:
    pending = b""
    async for read in response.aiter_bytes():
        *lines, pending = (pending + read).split(b"\n")
        data = [line[5:].strip() for line in lines if line.startswith(b"data:")]
        yield [json.loads(item) for item in data if item != _DONE]


def _body(request: GenerationRequest, model: str, endpoint: Endpoint) -> Chunk:
    messages = [{"role": message.role, "content": inert(message.content)} for message in request.messages]
    body: dict[str, object] = {
        "model": endpoint.adapters.get(request.adapter, model),
        "messages": messages,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.stop:
        body["stop"] = list(request.stop)
    if request.prefix:
        messages.append({"role": "assistant", "content": request.prefix})
        if endpoint.continuation == "vllm":
            body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body | _constraint(request, endpoint.structured)


def _constraint(request: GenerationRequest, structured: Structured) -> dict[str, object]:
    if request.json_schema is not None:
        schema = {"name": "answer", "schema": parsed(request.json_schema), "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    if request.grammar is not None:
        named: dict[str, object] = {"grammar": request.grammar}
        return {"structured_outputs": named} if structured == "vllm" else named
    if request.tools is not None:
        choice = "required" if request.must_call else "auto"
        return {"tools": parsed(request.tools), "tool_choice": choice}
    return {}


def _failure(told: object, endpoint: Endpoint) -> AskfleetError:
    """What a stream says in place of an answer: vLLM refuses a broken grammar so, with the status as code."""
    code = told.get("code") if isinstance(told, dict) else None
    if isinstance(code, int) and code >= 400:
        return _refusal(code, json.dumps(told).encode(), endpoint)
    return DependencyUnavailable(f"The engine's server failed in mid-answer: {told}.")


def _refusal(status: int, content: bytes, endpoint: Endpoint) -> AskfleetError:
    said = content[:500].decode(errors="replace")
    detail = f"{endpoint.url} answers {status}: {said}"
    if status in (401, 403):
        return Misconfigured(detail, remedy="Set AF_ENGINE_API_KEY to a key that this server accepts.")
    if status == httpx.codes.NOT_FOUND:
        return Misconfigured(detail, remedy="Check AF_ENGINE_URL (it ends in /v1) and AF_ENGINE_MODEL.")
    if status in _BUSY or status >= 500:
        return DependencyUnavailable(detail)
    if any(word in said.lower() for word in _OVERFLOW_WORDS):
        return ContextOverflow(detail)
    return PermanentError(detail)
