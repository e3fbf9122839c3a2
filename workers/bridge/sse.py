"""Server-sent events written straight to ASGI: one `send` for all events that are there, no task an event."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bus.entry import Entry

Frames = AsyncGenerator[bytes, None]
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
KEEP_ALIVE = b": keep-alive\n\n"
PIECE_BYTES = 65_536
"""Sent at once, unless one event is larger: so a reader that lags costs little memory."""
RETRY_MS = (200, 1200)


def frame(entry: Entry) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (entry.number, entry.type.encode(), entry.raw)


def pieces(entries: Sequence[Entry]) -> Iterator[bytes]:
    """The frames of `entries`, as many together as one send takes."""
    piece: list[bytes] = []
    size = 0
    for made in map(frame, entries):
        if piece and size + len(made) > PIECE_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(made)
        size += len(made)
    yield b"".join(piece)


def resume_elsewhere() -> bytes:
    """Tells an EventSource when to come again: soon, but not all at the same time."""
    return b": this replica stops\nretry: %d\n\n" % random.randint(*RETRY_MS)  # noqa: S311 (not for secrets)


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
        self._extra = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        self._on_disconnect = on_disconnect
        self._silent = True
        self._sending = False

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
                self._silent, self._sending = False, True
                await send({"type": "http.response.body", "body": body, "more_body": True})
                self._sending = False
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _keep_alive(self, send: Send) -> None:
        """A comment where nothing was sent for a whole period, so that proxies keep the connection.

        None while a send waits for a client that does not read: it would wait behind that.
        """
        while True:
            self._silent = True
            await asyncio.sleep(self._keep_alive_s)
            if self._silent and not self._sending:
                await send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})


async def _disconnected(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
