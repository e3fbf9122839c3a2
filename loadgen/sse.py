"""HTTP and server-sent events for many streams in one process.

Benches note what came and when, and parse frames after the answer has ended. Long runs give a receiver, which
takes the bytes as they come, so that memory stays bounded.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple, Protocol, cast

from httptools import HttpResponseParser

CONNECT_TIMEOUT_S = 10.0
SMALL_BUFFER_BYTES = 4_096


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


class Receiver(Protocol):
    """Takes the body of a 200 as it comes; a body with another status is kept in the reply."""

    def begin(self, at: float) -> None: ...

    def receive(self, at: float, body: bytes) -> None: ...


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
    """One keep-alive connection: one request at a time.

    Args:
        bytes_per_s: reads no faster, so that the server has to wait; 0: as fast as it comes.
    """

    def __init__(self, bytes_per_s: int = 0) -> None:
        self._bytes_per_s = bytes_per_s
        self._untaken = b""
        self._receiver: Receiver | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._reply = Reply(sent_at=0.0)
        self._done: asyncio.Future[Reply] | None = None
        self._host = ""

    @classmethod
    async def open(
        cls, host: str, port: int, *, tls: ssl.SSLContext | None = None, bytes_per_s: int = 0
    ) -> "Connection":
        """Raises OSError or TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, made = await loop.create_connection(lambda: cls(bytes_per_s), host, port, ssl=tls)
        made._host = f"{host}:{port}"
        return made

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        receiver: Receiver | None = None,
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
        self._receiver = receiver
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
        if self._bytes_per_s:
            # Else the kernel would read on for the client.
            found = transport.get_extra_info("socket")
            found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._digest()
        self._finish()

    def data_received(self, data: bytes) -> None:
        if not self._bytes_per_s or self._transport is None:
            self._parser.feed_data(data)
            return
        self._untaken = data
        self._transport.pause_reading()
        self._loop.call_later(len(data) / self._bytes_per_s, self._digest)

    def _digest(self) -> None:
        """Take what a slow reader has had the time to read."""
        data, self._untaken = self._untaken, b""
        if data:
            self._parser.feed_data(data)
        if self.is_open and self._transport is not None:
            self._transport.resume_reading()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._reply.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self._reply.status = self._parser.get_status_code()
        if self._receiver is not None and self._reply.status == 200:
            self._receiver.begin(perf_counter())

    def on_body(self, body: bytes) -> None:
        if self._receiver is not None and self._reply.status == 200:
            self._receiver.receive(perf_counter(), body)
        else:
            self._reply.chunks.append(Chunk(perf_counter(), body))

    def on_message_complete(self) -> None:
        self._reply.ended_at = perf_counter()
        self._finish()

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(self._reply)


class Block(NamedTuple):
    """One event as a stream gave it; `retry_ms` is 0 where it says nothing of when to come again."""

    id: int
    event: str
    data: bytes
    retry_ms: int = 0


class Frames:
    """Cuts a stream into its events as the bytes come; comments are left out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, body: bytes) -> Iterator[Block]:
        *whole, self._rest = (self._rest + body).split(b"\n\n")
        for block in whole:
            found = _block(block)
            if found is not None:
                yield found


def frames(reply: Reply) -> Iterator[Frame]:
    """The events of a stream, each with the time at which its last byte came."""
    cutting = Frames()
    for at, body in reply.chunks:
        for block in cutting.feed(body):
            yield Frame(at, block.id, block.event, block.data)


def _block(block: bytes) -> Block | None:
    first, *rest = lines = block.split(b"\n")
    if len(lines) == 3 and first[:4] == b"id: " and rest[0][:7] == b"event: " and rest[1][:6] == b"data: ":
        # As our bridge writes each event: once a token, so it is not read line by line.
        return Block(int(first[4:]), rest[0][7:].decode(), rest[1][6:])
    fields = dict(line.split(b": ", 1) for line in lines if b": " in line and line[:1] != b":")
    if not fields:
        return None
    return Block(
        int(fields.get(b"id", b"0")),
        fields.get(b"event", b"message").decode(),
        fields.get(b"data", b""),
        int(fields.get(b"retry", b"0")),
    )
