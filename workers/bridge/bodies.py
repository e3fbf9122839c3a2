"""Request bodies up to a limit: refused by their stated length, or counted where none is stated."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from workers.bridge import problems
from workers.bridge.requests import MAX_BODY_BYTES

DISCARD_BYTES = 10 * MAX_BODY_BYTES
DISCARD_S = 5.0

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def limit_body(app: Any) -> Any:
    """Answers 413 instead of `app`; the connection ends then, so that the rest is not sent for nothing."""

    async def limited(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        stated = headers.get(b"content-length", b"0")
        size = int(stated) if stated.isdigit() else 0
        if b"transfer-encoding" in headers:
            body, more = await _read(receive)
            if more:
                await _discard(receive)
            size, receive = len(body), _again(body, receive)
        if size > MAX_BODY_BYTES:
            problem = problems.body_too_large(size, MAX_BODY_BYTES)
            answer = problems.response(problem, scope["path"], headers={"Connection": "close"})
            await answer(scope, receive, send)
            return
        await app(scope, receive, send)

    return limited


async def _read(receive: Receive) -> tuple[bytearray, bool]:
    """A body that comes in chunks, or as much of it as is over the limit; and whether more follows."""
    body = bytearray()
    more = True
    while more and len(body) <= MAX_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body, more


async def _discard(receive: Receive) -> None:
    """A client that still sends would meet a reset instead of the answer; one that does not end may."""
    discarded = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_S):
            while discarded < DISCARD_BYTES:
                message = await receive()
                discarded += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _again(body: bytearray, receive: Receive) -> Receive:
    """`receive` for the app: the whole body, then what comes after it."""
    rest: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def replayed() -> Message:
        return rest.pop() if rest else await receive()

    return replayed
