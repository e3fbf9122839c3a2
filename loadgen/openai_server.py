"""A server that speaks OpenAI's protocol with stated timings and no model: `python -m loadgen.openai_server`.

Chat completions (streamed or not, continuing a last message of the assistant), embeddings (a text's words
hashed into a vector, so that texts that share words are near) and models. For trying out clients: a model
named `status-503` answers with that status, one named `broken` ends its stream in the middle. `GET /stats`
tells how many requests run and how many were aborted by their client.
"""

import argparse
import asyncio
import base64
import json
import math
import re
import struct
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from loadgen.engine_journal import EngineNotes

_Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[_Message]]
Send = Callable[[_Message], Awaitable[None]]
_STATUS_MODEL = re.compile(r"status-(\d{3})")
_WORD = re.compile(r"\w+")
_MARKER = re.compile(r"\s*\[\d{1,3}\]")
_PARTS = re.compile(rf"{_MARKER.pattern}|\s+|(?P<letter>\S)")
"""Letters, and what may stand between them in one text and not in the other."""
_SENTENCE_WORDS = 12
_LOOKS = 5
_LOOK_S = 0.002
"""A server that wakes up reads a lot at once: a request and its client's leaving come some rounds apart."""
_JSON = [(b"content-type", b"application/json")]
_SSE = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]


@dataclass(frozen=True)
class ServerOptions:
    """Times in seconds; `api_key` empty: any key passes."""

    first_token_s: float = 0.0
    interval_s: float = 0.0
    answer_tokens: int = 64
    dimensions: int = 384
    context_tokens: int = 8_192
    model: str = "simulated"
    api_key: str = ""


@dataclass
class Tally:
    in_flight: int = 0
    aborted: int = 0
    finished: int = 0


class Refused(Exception):
    """Answered with this status and an error in OpenAI's shape."""

    def __init__(self, status: int, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class OpenAIServer:
    """An ASGI application."""

    options: ServerOptions = ServerOptions()
    tally: Tally = field(default_factory=Tally)
    notes: EngineNotes | None = None

    async def __call__(self, scope: _Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._serve(scope, receive, send)
        except Refused as refusal:
            error = {"message": str(refusal), "type": "invalid_request_error", "code": refusal.code}
            await _reply(send, {"error": error}, status=refusal.status)

    async def _serve(self, scope: _Message, receive: Receive, send: Send) -> None:
        self._authorise(scope)
        path: str = scope["path"].removeprefix("/v1")
        if path == "/models":
            model = {
                "id": self.options.model,
                "object": "model",
                "max_model_len": self.options.context_tokens,
            }
            await _reply(send, {"object": "list", "data": [model]})
        elif path == "/stats":
            await _reply(send, vars(self.tally))
        elif path == "/embeddings":
            await _reply(send, self._embeddings(await _body(receive)))
        elif path == "/chat/completions":
            await self._attend(scope, receive, send)
        else:
            raise Refused(404, f"no such path: {path}")

    def _authorise(self, scope: _Message) -> None:
        expected = f"Bearer {self.options.api_key}".encode()
        if self.options.api_key and dict(scope["headers"]).get(b"authorization") != expected:
            raise Refused(401, "invalid API key", code="invalid_api_key")

    def _embeddings(self, body: _Message) -> object:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        vectors = [embed(text, self.options.dimensions) for text in texts]
        packed = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": _pack(vector) if packed else vector}
            for index, vector in enumerate(vectors)
        ]
        tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "model": body.get("model", ""), "data": data, "usage": usage}

    async def _attend(self, scope: _Message, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            if self.notes is None:
                await self._chat(body, leaving, send)
                return
            # A client that left while its request waited for a stopped server: nothing is begun for it.
            for _ in range(_LOOKS):
                await asyncio.wait((leaving,), timeout=_LOOK_S)
            if not leaving.done():
                query_id = dict(scope["headers"]).get(b"x-request-id", b"").decode()
                await self._noted(self._chat(body, leaving, send), query_id, self.notes)
        finally:
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)

    async def _noted(self, chat: Coroutine[Any, Any, int], query_id: str, notes: EngineNotes) -> None:
        number = notes.begin(query_id)
        made = 0
        try:
            made = await chat
        finally:
            notes.end(number, query_id, tokens=made, aborted=not made)

    async def _chat(self, body: _Message, leaving: asyncio.Future[None], send: Send) -> int:
        """The number of tokens that were sent, 0 when the client left."""
        self._check(body)
        tokens, prompt_tokens, cut = _answer(body, self.options)
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": len(tokens),
            "total_tokens": prompt_tokens + len(tokens),
        }
        finish = "length" if cut else "stop"
        self.tally.in_flight += 1
        playing = asyncio.ensure_future(self._play(body, tokens, finish, usage, send))
        try:
            await asyncio.wait((playing, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                self.tally.aborted += 1
                return 0
            await playing
            self.tally.finished += 1
            return len(tokens)
        finally:
            self.tally.in_flight -= 1
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)

    def _check(self, body: _Message) -> None:
        status = _STATUS_MODEL.fullmatch(body.get("model", ""))
        if status:
            raise Refused(int(status[1]), f"as asked: {status[0]}")
        prompt = sum(len(str(message["content"]).split()) for message in body["messages"])
        if prompt + body.get("max_tokens", 0) > self.options.context_tokens:
            raise Refused(
                400,
                f"This model's maximum context length is {self.options.context_tokens} tokens.",
                code="context_length_exceeded",
            )

    async def _play(
        self, body: _Message, tokens: Sequence[str], finish: str, usage: _Message, send: Send
    ) -> None:
        model = body.get("model", self.options.model)
        if not body.get("stream"):
            await asyncio.sleep(self.options.first_token_s + self.options.interval_s * len(tokens))
            message = {"role": "assistant", "content": "".join(tokens)}
            choice = {"index": 0, "message": message, "finish_reason": finish}
            await _reply(send, _completion(model, choices=[choice], usage=usage))
            return
        await send({"type": "http.response.start", "status": 200, "headers": _SSE})
        await self._stream_tokens(model, tokens, send)
        if model == "broken":
            await send({"type": "http.response.body", "body": b""})
            return
        last = [
            _event(_chunk(model, choices=[{"index": 0, "delta": {}, "finish_reason": finish}])),
            _event(_chunk(model, choices=[], usage=usage)),
            b"data: [DONE]\n\n",
        ]
        await send({"type": "http.response.body", "body": b"".join(last)})

    async def _stream_tokens(self, model: str, tokens: Sequence[str], send: Send) -> None:
        clock = asyncio.get_running_loop().time
        begin = clock() + self.options.first_token_s
        kept = tokens[: len(tokens) // 2] if model == "broken" else tokens
        for number, token in enumerate(kept):
            wait_s = begin + number * self.options.interval_s - clock()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            choice = {"index": 0, "delta": {"content": token}, "finish_reason": None}
            event = _event(_chunk(model, choices=[choice]))
            await send({"type": "http.response.body", "body": event, "more_body": True})


def embed(text: str, dimensions: int) -> list[float]:
    """Words hashed to signed positions; length 1."""
    vector = [0.0] * dimensions
    for word in _WORD.findall(text.lower()):
        digest = zlib.crc32(word.encode())
        vector[digest % dimensions] += 1.0 if digest & 0x8000_0000 else -1.0
        vector[(digest >> 8) % dimensions] += 0.5
    length = math.sqrt(math.fsum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


def _pack(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _answer(body: _Message, options: ServerOptions) -> tuple[list[str], int, bool]:
    """Tokens after the text that a last assistant message holds already, tokens of the prompt, cut short."""
    messages = list(body["messages"])
    prefix = messages.pop()["content"] if messages[-1]["role"] == "assistant" else ""
    words = str(messages[-1]["content"]).split() or ["nothing"]
    whole = "".join(_token(words, number) for number in range(options.answer_tokens))
    behind = _behind(whole, prefix)
    for stop in body.get("stop") or ():
        behind = behind.partition(stop)[0]
    rest = re.findall(r"\s*\S+", behind)
    length = min(len(rest), body.get("max_tokens") or len(rest))
    prompt_tokens = sum(len(str(message["content"]).split()) for message in messages)
    return rest[:length], prompt_tokens, length < len(rest)


def _behind(whole: str, prefix: str) -> str:
    """What follows `prefix`, in which citation markers may have been added or left out; else all."""
    if whole.startswith(prefix):
        return whole[len(prefix) :]
    said = _letters(prefix)
    if not _letters(whole).startswith(said):
        return whole
    ends = [part.end() for part in _PARTS.finditer(whole) if part["letter"]]
    rest = whole[ends[len(said) - 1] :] if said else whole
    marker = _MARKER.match(rest)
    return rest[marker.end() :] if marker and prefix.endswith("]") else rest


def _letters(text: str) -> str:
    return "".join(part["letter"] or "" for part in _PARTS.finditer(text))


def _token(words: Sequence[str], number: int) -> str:
    word = words[number % len(words)]
    if number % _SENTENCE_WORDS == _SENTENCE_WORDS - 1:
        word = "[1]."
    return f" {word}" if number else word


def _completion(model: str, *, choices: list[Any], usage: _Message) -> object:
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": choices,
        "usage": usage,
    }


def _chunk(model: str, *, choices: list[Any], usage: _Message | None = None) -> object:
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": model,
        "choices": choices,
        "usage": usage,
    }


def _event(chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


async def _body(receive: Receive) -> _Message:
    raw = b""
    while True:
        message = await receive()
        raw += message.get("body", b"")
        if not message.get("more_body"):
            break
    try:
        body: _Message = json.loads(raw)
    except ValueError as error:
        raise Refused(400, f"not JSON: {error}") from error
    return body


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _reply(send: Send, body: object, *, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _JSON})
    await send({"type": "http.response.body", "body": json.dumps(body, separators=(",", ":")).encode()})


def main() -> None:
    defaults = ServerOptions()
    parser = argparse.ArgumentParser(description="An OpenAI-compatible server with stated timings.")
    parser.add_argument("--port", type=int, default=8_000)
    parser.add_argument("--first-token-ms", type=float, default=defaults.first_token_s * 1_000)
    parser.add_argument("--interval-ms", type=float, default=defaults.interval_s * 1_000)
    parser.add_argument("--tokens", type=int, default=defaults.answer_tokens)
    parser.add_argument("--dimensions", type=int, default=defaults.dimensions)
    parser.add_argument("--context-tokens", type=int, default=defaults.context_tokens)
    parser.add_argument("--model", default=defaults.model)
    parser.add_argument("--api-key", default=defaults.api_key)
    parser.add_argument("--journal", type=Path, help="folder for notes of each request's start and end")
    chosen = parser.parse_args()
    options = ServerOptions(
        first_token_s=chosen.first_token_ms / 1_000,
        interval_s=chosen.interval_ms / 1_000,
        answer_tokens=chosen.tokens,
        dimensions=chosen.dimensions,
        context_tokens=chosen.context_tokens,
        model=chosen.model,
        api_key=chosen.api_key,
    )
    notes = EngineNotes(chosen.journal) if chosen.journal is not None else None
    uvicorn.run(OpenAIServer(options, notes=notes), host="127.0.0.1", port=chosen.port, log_level="warning")


if __name__ == "__main__":
    main()
