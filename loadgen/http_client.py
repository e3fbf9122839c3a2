"""Clients of the HTTP door as careful programs write them.

Each query has an id of the client's own. A question whose response did not come is asked again with that id
at another bridge; a stream that was cut is resumed there behind the last event that was read.
"""

import asyncio
import json
import random
from collections.abc import Iterable, Mapping
from contextlib import suppress
from time import perf_counter

from contracts.errors import Misconfigured
from loadgen.asking import Asking
from loadgen.bridges import Address, Bridges
from loadgen.mix import Order
from loadgen.observed import Habit, Observed
from loadgen.reading import Pulse, Reading, StreamReading
from loadgen.scenario import Scenario
from loadgen.sse import Connection, Receiver, Reply

DRAINING = "draining"
TOO_MANY = 429


class HttpClient:
    """Asks `POST /v1/ask`. `origin`: the start of the run, of `time.perf_counter`."""

    def __init__(
        self,
        bridges: Bridges,
        keys: Mapping[str, str],
        scenario: Scenario,
        *,
        pulse: Pulse,
        origin: float,
    ) -> None:
        self.bridges = bridges
        self.scenario = scenario
        self._keys = keys
        self._pulse = pulse
        self._origin = origin
        self._chance = random.Random(scenario.seed)  # noqa: S311 (not for secrets)

    async def ask(self, order: Order, *, scheduled_at: float) -> Observed:
        asking = self.begin(order, scheduled_at=scheduled_at)
        await _Conversation(self, asking, headers=self.headers(order.tenant)).run()
        return self.observed(asking)

    def begin(self, order: Order, *, scheduled_at: float) -> Asking:
        reading = Reading(self._pulse, scheduled_at, order.habit.is_steady)
        return Asking(order, self.scenario, scheduled_at, reading, self._chance)

    def observed(self, asking: Asking) -> Observed:
        return asking.observed(origin=self._origin)

    async def check(self, tenants: Iterable[str]) -> None:
        """Each tenant's key at one of the bridges.

        Raises:
            Misconfigured: no bridge answers, or one does not take a key.
        """
        for tenant in tenants:
            reply = await self._first_reply(self.headers(tenant))
            if reply.status in (401, 403):
                raise Misconfigured(
                    f"The bridge refuses the key of tenant {tenant!r}: {code_of(reply)}.",
                    remedy="Give the key with --key or AF_API_KEY, or beside the tenant in the scenario.",
                )

    async def _first_reply(self, headers: Mapping[str, str]) -> Reply:
        for bridge in self.bridges.addresses:
            with suppress(OSError):
                async with self.bridges.connection(bridge) as connection:
                    reply = await connection.request("GET", bridge.prefix + "/v1/models", headers=headers)
                if reply.status:
                    return reply
        named = ", ".join(map(str, self.bridges.addresses))
        raise Misconfigured(
            f"No bridge answers at {named}.", remedy="Start one with `askfleet up`, or name it with --url."
        )

    def headers(self, tenant: str) -> dict[str, str]:
        key = self._keys.get(tenant, "")
        return {"authorization": f"Bearer {key}"} if key else {}


class _Conversation:
    """All requests about one query."""

    def __init__(self, client: HttpClient, asking: Asking, *, headers: Mapping[str, str]) -> None:
        self._bridges = client.bridges
        self._scenario = client.scenario
        self._asking = asking
        self._reading = asking.reading
        self._order = asking.order
        self._headers = headers
        self._bridge: Address | None = None
        self._connection: Connection | None = None
        self._leaving = False
        self._cancelling: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until the terminal event, a refusal, or the deadline and the grace."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._scenario.deadline_s + self._scenario.grace_s):
                    if await self._ask():
                        await self._read_on()
        finally:
            if self._cancelling is not None:
                self._cancelling.cancel()
                await asyncio.gather(self._cancelling, return_exceptions=True)

    async def _ask(self) -> bool:
        """Whether it was accepted; again with the same id as long as no door has said anything."""
        asking, pauses = self._asking, self._asking.pauses()
        while asking.remaining_s > 0:
            reply = await self._request(
                "POST",
                "/v1/ask",
                headers={"accept": "text/event-stream", "content-type": "application/json"},
                body=self._body(),
                receiver=StreamReading(self._reading, self._accept),
            )
            asking.status = reply.status if reply is not None else 0
            if asking.accepted_at is not None:
                return True
            wait_s = self._take_refusal(reply, pauses.next_s())
            if wait_s is None:
                return False
            await asyncio.sleep(min(wait_s, max(0.0, asking.remaining_s)))
        return False

    def _take_refusal(self, reply: Reply | None, pause_s: float) -> float | None:
        """Seconds until the question is asked again; None: the refusal stands."""
        asking = self._asking
        asking.refused = False
        if reply is None:
            return pause_s
        if reply.status == 0:
            asking.uncertain = True
            asking.lost_connections += 1
            return pause_s
        asking.problem = code_of(reply)
        if reply.status >= 500 and asking.problem != DRAINING:
            asking.uncertain = True
        if reply.status >= 500 or asking.uncertain:
            return pause_s
        asking.refused = True
        if reply.status == TOO_MANY and self._scenario.clients.retry_refused:
            return max(pause_s, retry_after_s(reply))
        return None

    def _accept(self, at: float) -> None:
        asking, order = self._asking, self._order
        if asking.accepted_at is not None:
            return
        asking.accepted_at = at
        asking.refused = False
        asking.problem = ""
        if order.habit is Habit.CANCEL:
            self._cancelling = asyncio.create_task(self._cancel())
        elif order.habit is Habit.LEAVE:
            asyncio.get_running_loop().call_later(order.after_s, self._leave)

    async def _read_on(self) -> None:
        asking, reading, pauses = self._asking, self._reading, self._asking.pauses()
        wait_s = self._take_break(pauses.next_s(), began=True)
        while not reading.ended:
            await asyncio.sleep(wait_s)
            before = reading.last_id
            stream = StreamReading(reading)
            sent_at = perf_counter()
            reply = await self._request(
                "GET",
                f"/v1/answers/{self._order.query_id}",
                headers={"accept": "text/event-stream", "last-event-id": str(reading.last_id)},
                receiver=stream,
            )
            asking.missing = reply is not None and reply.status == 404
            if stream.first_event_at:
                asking.resumes_s.append(stream.first_event_at - sent_at)
            if reading.last_id > before:
                pauses.reset()
            began = reply is not None and reply.status == 200
            wait_s = self._take_break(max(pauses.next_s(), stream.retry_ms / 1_000), began=began)

    def _take_break(self, pause_s: float, *, began: bool) -> float:
        """The stream ended, or never began; seconds until it is resumed."""
        if self._reading.ended:
            return 0.0
        if self._leaving:
            self._leaving = False
            return self._order.pause_s
        self._asking.lost_connections += began
        return pause_s

    def _leave(self) -> None:
        if self._connection is not None and not self._reading.ended:
            self._leaving = True
            self._asking.left += 1
            self._connection.close()

    async def _cancel(self) -> None:
        """Beside the stream, which then ends; again until a bridge has taken it."""
        await asyncio.sleep(self._order.after_s)
        self._asking.cancelled_at = perf_counter()
        pauses = self._asking.pauses()
        path = f"/v1/answers/{self._order.query_id}"
        while not self._reading.ended:
            bridge = self._bridges.next()
            with suppress(OSError):
                async with self._bridges.connection(bridge) as connection:
                    reply = await connection.request("DELETE", bridge.prefix + path, headers=self._headers)
                if reply.complete and reply.status == 200:
                    return
            await asyncio.sleep(pauses.next_s())

    async def _request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        receiver: Receiver,
    ) -> Reply | None:
        """At another bridge than the last one; None where nobody listens."""
        self._bridge = self._bridges.next(but=self._bridge)
        rate = self._scenario.clients.slow_bytes_per_s if self._order.habit is Habit.SLOW else 0
        try:
            async with self._bridges.connection(self._bridge, bytes_per_s=rate) as connection:
                self._connection = connection
                self._asking.asks += method == "POST"
                reply = await connection.request(
                    method,
                    self._bridge.prefix + path,
                    headers={**self._headers, **headers},
                    body=body,
                    receiver=receiver,
                )
        except OSError:
            return None
        finally:
            self._connection = None
        self._asking.whole = self._reading.ended and reply.complete
        return reply

    def _body(self) -> bytes:
        order, scenario = self._order, self._scenario
        asked: dict[str, str | int | float] = {
            "id": order.query_id,
            "question": order.question,
            "top_k": scenario.top_k,
            "max_tokens": scenario.max_tokens,
            "deadline_s": round(self._asking.remaining_s, 3),
        }
        if order.route is not None:
            asked["route"] = order.route.value
        return json.dumps(asked).encode()


def code_of(reply: Reply) -> str:
    """The problem's code; where it is none of ours, the status."""
    with suppress(ValueError):
        problem = json.loads(reply.body)
        if isinstance(problem, dict):
            found = problem.get("error", problem)
            if isinstance(found, dict) and "code" in found:
                return str(found["code"])
    return f"http-{reply.status}"


def retry_after_s(reply: Reply) -> float:
    stated = reply.headers.get("retry-after", "")
    return float(stated) if stated.isascii() and stated.isdigit() else 0.0
