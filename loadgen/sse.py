"""HTTP and server-sent events for many streams in one process.

A connection only notes what came and when; frames are parsed after the answer has ended. So the client takes
little of the processor that it shares with what it measures.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple, cast

from httptools import HttpResponseParser

CONNECT_TIMEOUT_S = 10.0


class Chunk(NamedTuple):
    """`at` is in seconds of `time.perf_counter`: uvloop's own clock counts milliseconds."""

    at: float
    body: bytes


class Frame(NamedTuple):
    """One server-sent event; `id` is 0 where the stream gives none."""

    at: float
    id: int
    event: str
    data: bytes


@dataclass
class Reply:
    """A response as it came; `ended_at` stays 0 when the connection was lost before its end."""

    sent_at: float
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[Chunk] = field(default_factory=list)
    ended_at: float = 0.0

    @property
    def complete(self) -> bool:
        return self.ended_at > 0

    @property
    def body(self) -> bytes:
        return b"".join(chunk.body for chunk in self.chunks)


class Connection(asyncio.Protocol):
    """One keep-alive connection: one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._reply = Reply(sent_at=0.0)
        self._done: asyncio.Future[Reply] | None = None
        self._host = ""

    @classmethod
    async def open(cls, host: str, port: int) -> "Connection":
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, made = await asyncio.get_running_loop().create_connection(cls, host, port)
        made._host = f"{host}:{port}"
        return made

    async def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        """The whole response; an incomplete one when the connection is lost meanwhile.

        Raises:
            ConnectionError: the connection was lost before.
        """
        if self._transport is None:
            raise ConnectionError("the connection is closed")
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._host}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self._parser = HttpResponseParser(self)
        self._done = self._loop.create_future()
        self._reply = Reply(sent_at=perf_counter())
        self._transport.write("\r\n".join([*lines, "\r\n"]).encode() + body)
        return await self._done

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._finish()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._reply.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self._reply.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._reply.chunks.append(Chunk(perf_counter(), body))

    def on_message_complete(self) -> None:
        self._reply.ended_at = perf_counter()
        self._finish()

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(self._reply)


def frames(reply: Reply) -> Iterator[Frame]:
    """The events of a stream, each with the time at which its last byte came."""
    rest = b""
    for at, body in reply.chunks:
        *whole, rest = (rest + body).split(b"\n\n")
        for block in whole:
            if not block.startswith(b":"):
                yield _frame(at, block)


def _frame(at: float, block: bytes) -> Frame:
    fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
    name = fields.get(b"event", b"message").decode()
    return Frame(at, int(fields.get(b"id", b"0")), name, fields.get(b"data", b""))
