"""The client against a small server that drops connections as proxies do."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from askfleet.sse import AnswerStream, Frame, Refused, frames, open_client
from contracts import Accepted, Delta, Done, Event, Query, encode
from contracts.errors import DependencyUnavailable

Reply = Callable[[str], bytes]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def frame(event: Event) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.index, event.type.encode(), encode(event))


EVENTS: list[Event] = [
    Accepted(index=1, tenant="demo", query=Query(id="q1", question="Why?"), deadline=1),
    Delta(index=2, text="Because "),
    Delta(index=3, text="of that."),
    Done(index=4, text="Because of that."),
]


class DroppingServer:
    """Answers each request with the next of `replies`, then closes the connection."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.requests: list[str] = []

    async def __aenter__(self) -> "DroppingServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next((int(line[15:]) for line in head.splitlines() if line.startswith("content-length:")), 0)
        self.requests.append(head + (await reader.readexactly(length)).decode())
        writer.write(self._replies.pop(0)(head))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def lines(*given: str) -> AsyncIterator[str]:
    for line in given:
        yield line


async def read(url: str) -> list[Event]:
    async with open_client(url) as client:
        return [event async for event in AnswerStream(client, key="k").ask({"question": "Why?"})]


async def test_frames_follow_the_standard():
    stream = lines(
        ": hello", "id: 7", "event: delta", "data: one", "data:two", "", "data: three", "", "data: cut"
    )
    found = [frame async for frame in frames(stream)]
    assert found == [Frame("7", "delta", "one\ntwo"), Frame("7", "message", "three")]


async def test_a_dropped_stream_is_resumed_after_the_last_event_without_gap_or_repeat():
    async with DroppingServer(
        lambda _: HEAD + b"".join(map(frame, EVENTS[:2])),
        # A replica that replays one event too many.
        lambda _: HEAD + b"".join(map(frame, EVENTS[1:3])) + b'id: 4\nevent: done\ndata: {"type": "do',
        lambda _: HEAD + b": keep-alive\n\n" + frame(EVENTS[3]),
    ) as server:
        assert await read(server.url) == EVENTS
    assert "last-event-id: 2" in server.requests[1]
    assert "last-event-id: 3" in server.requests[2]
    assert server.requests[2].startswith("get /v1/answers/")


async def test_a_question_that_was_cut_off_before_any_event_is_asked_again_with_the_same_id():
    async with DroppingServer(lambda _: HEAD, lambda _: HEAD + b"".join(map(frame, EVENTS))) as server:
        assert await read(server.url) == EVENTS
    bodies = [request.partition("\r\n\r\n")[2] for request in server.requests]
    assert bodies[0] == bodies[1]
    assert '"id":"' in bodies[0]


async def test_a_problem_is_raised_with_its_remedy():
    body = (
        b'{"type": "urn:x", "title": "Key", "status": 401, "detail": "The key is unknown.", '
        b'"code": "unauthorized", "remedy": "Send another."}'
    )
    head = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    async with DroppingServer(lambda _: head + body) as server:
        with pytest.raises(Refused, match="The key is unknown") as raised:
            await read(server.url)
    assert raised.value.remedy == "Send another."
    assert raised.value.code == "unauthorized"


async def test_something_else_than_a_bridge_is_named():
    async with DroppingServer(
        lambda _: b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    ) as server:
        with pytest.raises(Refused, match="answered 404: 'no'"):
            await read(server.url)


async def test_an_address_where_nobody_listens_is_an_error_at_once():
    with pytest.raises(DependencyUnavailable, match=r"127\.0\.0\.1:1"):
        async with asyncio.timeout(5):
            await read("http://127.0.0.1:1")
