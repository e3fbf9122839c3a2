"""Clients of the OpenAI-compatible door, streaming. It knows no resume: a cut stream is a failure."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import cast

from loadgen.asking import Asking
from loadgen.http_client import HttpClient, code_of
from loadgen.mix import Order
from loadgen.observed import End, Habit, Observed
from loadgen.sse import Connection, Frames, Reply

PATH = "/v1/chat/completions"
CUT = "connection-lost"

_Json = Mapping[str, object]


@dataclass
class _Chunks:
    """Reads chunks of a completion as the text of an answer; the usage has the number of tokens."""

    asking: Asking
    _frames: Frames = field(default_factory=Frames)
    _end: End = End.DONE

    def begin(self, at: float) -> None:
        self.asking.accepted_at = at
        self.asking.refused, self.asking.problem = False, ""

    def receive(self, at: float, body: bytes) -> None:
        for block in self._frames.feed(body):
            if block.data == b"[DONE]":
                self.asking.reading.end, self.asking.reading.ended_at = self._end, at
            elif block.data:
                self._take(at, cast(_Json, json.loads(block.data)))

    def _take(self, at: float, chunk: _Json) -> None:
        reading = self.asking.reading
        if reading.first_token_at is None and "id" in chunk:
            # The door chose the id: by it the judge finds the log.
            query_id = str(chunk["id"]).removeprefix("chatcmpl-")
            self.asking.order = replace(self.asking.order, query_id=query_id)
        if "error" in chunk:
            self._end = End.FAILED
            reading.problem = str(cast(_Json, chunk["error"]).get("code", "error"))
        elif "cancelled" in chunk:
            self._end = End.CANCELLED
        elif isinstance(usage := chunk.get("usage"), dict):
            reading.tokens = int(usage["completion_tokens"])
        elif _text(chunk):
            reading.note_text(at, 1)


def _text(chunk: _Json) -> bool:
    choices = cast(list[_Json], chunk.get("choices") or [])
    return any(cast(_Json, choice.get("delta") or {}).get("content") for choice in choices)


class OpenAIClient:
    """`cancel`: the client closes the connection, as programs do that stop a completion."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def ask(self, order: Order, *, scheduled_at: float) -> Observed:
        asking = self._http.begin(order, scheduled_at=scheduled_at)
        scenario = self._http.scenario
        with suppress(TimeoutError):
            async with asyncio.timeout(scenario.deadline_s + scenario.grace_s):
                await self._ask(asking)
        return self._http.observed(asking)

    async def _ask(self, asking: Asking) -> None:
        pauses = asking.pauses()
        while asking.remaining_s > 0:
            reply = await self._request(asking)
            asking.status = reply.status if reply is not None else 0
            if reply is not None and reply.status == 200:
                self._end(asking)
                return
            if reply is not None and 400 <= reply.status < 500:
                asking.refused, asking.problem = True, code_of(reply)
                return
            await asyncio.sleep(min(pauses.next_s(), max(0.0, asking.remaining_s)))

    def _end(self, asking: Asking) -> None:
        if asking.reading.end is None:
            cancelled = asking.cancelled_at is not None
            asking.reading.end = End.CANCELLED if cancelled else End.FAILED
            asking.reading.problem = "" if cancelled else CUT
            asking.lost_connections += not cancelled

    async def _request(self, asking: Asking) -> Reply | None:
        order, scenario, bridges = asking.order, self._http.scenario, self._http.bridges
        bridge = bridges.next()
        rate = scenario.clients.slow_bytes_per_s if order.habit is Habit.SLOW else 0
        headers = {
            "content-type": "application/json",
            "af-deadline": str(asking.deadline),
            **self._http.headers(order.tenant),
        }
        asking.asks += 1
        with suppress(OSError):
            async with bridges.connection(bridge, bytes_per_s=rate) as connection:
                cancelling = asyncio.create_task(self._cancel(asking, connection))
                try:
                    return await connection.request(
                        "POST",
                        bridge.prefix + PATH,
                        headers=headers,
                        body=self._body(order),
                        receiver=_Chunks(asking),
                    )
                finally:
                    cancelling.cancel()
        return None

    async def _cancel(self, asking: Asking, connection: Connection) -> None:
        if asking.order.habit is Habit.CANCEL:
            await asyncio.sleep(asking.order.after_s)
            asking.cancelled_at = perf_counter()
            connection.close()

    def _body(self, order: Order) -> bytes:
        return json.dumps(
            {
                "model": "askfleet",
                "messages": [{"role": "user", "content": order.question}],
                "stream": True,
                "stream_options": {"include_usage": True},
                "max_tokens": self._http.scenario.max_tokens,
            }
        ).encode()
