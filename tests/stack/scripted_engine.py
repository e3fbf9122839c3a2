"""An OpenAI-compatible server that says what it is told, in order, and keeps what it was asked."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass
class Script:
    """Answers in order, the last one again and again.

    `status` other than 200 refuses all; a request that has a field of `unknown` is refused as not valid.
    """

    answers: list[str]
    status: int = 200
    unknown: tuple[str, ...] = ()
    asked: list[dict[str, object]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def prompts(self) -> list[str]:
        return [str(request["messages"][-1]["content"]) for request in self.asked]  # type: ignore[index]

    async def models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "scripted", "max_model_len": 32_768}]})

    async def complete(self, request: Request) -> Response:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("authorization", ""))
        strange = [name for name in self.unknown if name in self.asked[-1]]
        if strange:
            return JSONResponse({"error": {"message": f"unknown field {strange[0]}"}}, 400)
        if self.status != 200:
            return JSONResponse({"error": {"message": "no"}}, self.status)
        text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return StreamingResponse(_streamed(text), media_type="text/event-stream")


async def _streamed(text: str) -> AsyncIterator[str]:
    half = len(text) // 2
    for part, finish in ((text[:half], None), (text[half:], None), ("", "stop")):
        choice = {"index": 0, "delta": {"content": part}, "finish_reason": finish}
        yield f"data: {json.dumps({'choices': [choice]})}\n\n"
    yield "data: [DONE]\n\n"


@contextmanager
def scripted(
    *answers: str, status: int = 200, port: int = 0, unknown: tuple[str, ...] = ()
) -> Iterator[Script]:
    script = Script(list(answers), status, unknown)
    app = Starlette(
        routes=[
            Route("/v1/models", script.models),
            Route("/v1/chat/completions", script.complete, methods=["POST"]),
        ]
    )
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_level="warning"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    try:
        yield script
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
