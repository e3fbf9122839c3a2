"""An OpenAI-compatible server whose model does as it is told: it says what the test lets it say.

It keeps the messages that it was sent, as the model would have read them.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Obedient:
    says: str = ""
    after_s: float = 0.0
    url: str = ""
    read: list[list[dict[str, str]]] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def prompt(self) -> str:
        """All that the last request held."""
        return "\n\n".join(message["content"] for message in self.read[-1])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self._answer(reader, writer)
        finally:
            self.tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [line[15:] for line in head.lower().splitlines() if line.startswith("content-length:")]
        length = int(lengths[0]) if lengths else 0
        body = json.loads(await reader.readexactly(length)) if length else {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.after_s):
                await reader.read(1)  # ends when the client goes
                return
        if head.startswith("GET"):
            answer, kind = json.dumps({"data": [{"id": "obedient"}]}), "application/json"
        else:
            self.read.append(body["messages"])
            answer, kind = self._stream(), "text/event-stream"
        raw = answer.encode()
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n".encode())
        writer.write(b"connection: close\r\n\r\n" + raw)
        await writer.drain()

    def _stream(self) -> str:
        pieces = [{"delta": {"content": f"{word} "}} for word in self.says.split(" ")]
        chunks = [*pieces, {"delta": {}, "finish_reason": "stop"}]
        lines = [f"data: {json.dumps({'choices': [chunk]})}\n\n" for chunk in chunks]
        return "".join([*lines, "data: [DONE]\n\n"])


@asynccontextmanager
async def obedient_server() -> AsyncIterator[Obedient]:
    model = Obedient()
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    model.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield model
    finally:
        server.close()
        for task in model.tasks:
            task.cancel()
        await asyncio.gather(*model.tasks, return_exceptions=True)
