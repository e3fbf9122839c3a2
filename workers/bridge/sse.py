"""Server-sent events written straight to ASGI: one `send` for all events that are there, no task an event."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from contracts import Event, encode

Frames = AsyncGenerator[bytes, None]
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
KEEP_ALIVE = b": keep-alive\n\n"


def frame(event: Event) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.index, event.type.encode(), encode(event))


class EventStream(Response):
    """Sends frames until they end or the client goes; a client that went stops the source at once."""

    def __init__(
        self,
        frames: Frames,
        *,
        keep_alive_s: float,
        headers: dict[str, str] | None = None,
        on_disconnect: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._frames = frames
        self._keep_alive_s = keep_alive_s
        self._extra = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        self._on_disconnect = on_disconnect
        self._silent = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS + self._extra})
        gone = asyncio.create_task(_disconnected(receive))
        sending = asyncio.create_task(self._send_all(send))
        beating = asyncio.create_task(self._keep_alive(send))
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            elif self._on_disconnect is not None:
                await self._on_disconnect()
        finally:
            for task in (gone, sending, beating):
                task.cancel()
            await asyncio.gather(gone, sending, beating, return_exceptions=True)

    async def _send_all(self, send: Send) -> None:
        async with contextlib.aclosing(self._frames) as frames:
            async for body in frames:
                self._silent = False
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _keep_alive(self, send: Send) -> None:
        """A comment where nothing was sent for a whole period, so that proxies keep the connection."""
        while True:
            self._silent = True
            await asyncio.sleep(self._keep_alive_s)
            if self._silent:
                await send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})


async def _disconnected(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
