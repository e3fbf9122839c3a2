"""Any server that speaks OpenAI's chat completions: vLLM, SGLang, llama-server, a hosted one."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

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
from workers.engines.inert import inert
from workers.engines.port import FinishReason, GenerationRequest, Piece

_CONNECT_TIMEOUT_S = 5.0
_PROBE_PAUSE_S = 1.0
_BUSY = frozenset({408, 409, 425, 429})
_OVERFLOW_WORDS = ("context length", "context_length", "context size", "maximum context", "too many tokens")
_DONE = b"[DONE]"

_Chunk = Mapping[str, Any]
Continuation = Literal["vllm", "assistant"]
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Endpoint:
    """A server; `model` empty: the first that it serves; `context_tokens` None: what it says, else 4096.

    `unreachable_s`: so long a request tries to connect; 0: once.
    """

    url: str
    api_key: str = ""
    model: str = ""
    context_tokens: int | None = None
    continuation: Continuation = "vllm"
    silence_s: float = 60.0
    unreachable_s: float = 0.0
    start_timeout_s: float = 600.0


class OpenAIEngine:
    """Closing a stream closes its connection; the server aborts the request when it sees that."""

    def __init__(self, endpoint: Endpoint, *, slots: int = 64) -> None:
        self.name = endpoint.model
        self.slots = slots
        self.context_tokens = endpoint.context_tokens or 4_096
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

    async def _models(self) -> list[_Chunk]:
        with _as_unavailable(self._endpoint.url):
            answer = await self._client.get("/models")
        if answer.status_code == httpx.codes.NOT_FOUND and self._endpoint.model:
            return [{"id": self._endpoint.model}]
        if answer.is_error:
            raise _refusal(answer.status_code, answer.content, self._endpoint)
        return list(answer.json()["data"])

    def _learn(self, models: list[_Chunk]) -> None:
        served = {str(model["id"]): model for model in models}
        self.name = self._endpoint.model or next(iter(served), "")
        if self.name not in served:
            raise Misconfigured(
                f"The server at {self._endpoint.url} does not serve the model {self.name!r}.",
                remedy=f"Set AF_ENGINE_MODEL to one of: {', '.join(served) or 'none is served'}.",
            )
        limit = served[self.name].get("max_model_len")
        if self._endpoint.context_tokens is None and limit:
            self.context_tokens = int(limit)

    async def close(self) -> None:
        await self._client.aclose()

    def in_flight(self) -> int:
        return self._in_flight

    def count_tokens(self, text: str) -> int:
        """An upper estimate: English prose has 4 to 5 bytes a token, code and other scripts about 3."""
        return len(text.encode()) // 3 + 1

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        body = json.dumps(_body(request, self.name, self._endpoint.continuation)).encode()
        self._in_flight += 1
        try:
            async with self._free, self._open(body, request) as response:
                async for piece in _pieces(response):
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


async def _pieces(response: httpx.Response) -> AsyncGenerator[Piece, None]:
    """Tokens that arrive in one read leave as one piece.

    Raises: DependencyUnavailable: the stream ended before the answer did.
    """
    finish: FinishReason | None = None
    usage = Usage()
    async for events in _events(response):
        texts = [text for event in events if (text := _text(event))]
        for event in events:
            finish = _finish(event) or finish
            usage = _usage(event) or usage
        if texts:
            yield Piece("".join(texts), tokens=len(texts))
    if finish is None:
        raise DependencyUnavailable("The engine's server ended the stream in the middle of an answer.")
    yield Piece("", tokens=0, finish_reason=finish, usage=usage)


async def _events(response: httpx.Response) -> AsyncIterator[list[_Chunk]]:
    pending = b""
    async for read in response.aiter_bytes():
        *lines, pending = (pending + read).split(b"\n")
        data = [line[5:].strip() for line in lines if line.startswith(b"data:")]
        yield [json.loads(item) for item in data if item != _DONE]


def _text(event: _Chunk) -> str:
    if "error" in event:
        raise DependencyUnavailable(f"The engine's server failed in mid-answer: {event['error']}.")
    choices = event.get("choices")
    return (choices[0].get("delta") or {}).get("content") or "" if choices else ""


def _finish(event: _Chunk) -> FinishReason | None:
    choices = event.get("choices")
    reason = choices[0].get("finish_reason") if choices else None
    if reason is None:
        return None
    return "length" if reason == "length" else "stop"


def _usage(event: _Chunk) -> Usage | None:
    usage = event.get("usage")
    if not usage:
        return None
    return Usage(
        prompt_tokens=usage.get("prompt_tokens", 0),
        completion_tokens=usage.get("completion_tokens", 0),
        cached_prompt_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
    )


def _body(request: GenerationRequest, model: str, continuation: Continuation) -> _Chunk:
    messages = [{"role": message.role, "content": inert(message.content)} for message in request.messages]
    body: dict[str, object] = {
        "model": model,
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
        if continuation == "vllm":
            body |= {"continue_final_message": True, "add_generation_prompt": False}
    if request.json_schema is not None:
        schema = {"name": "answer", "schema": json.loads(request.json_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.grammar is not None:
        named = {"grammar": request.grammar}
        body |= {"structured_outputs": named} if continuation == "vllm" else named
    return body


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
