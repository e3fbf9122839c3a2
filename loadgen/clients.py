"""Who asks: clients of the HTTP door that ask again as soon as they are answered, and publishers on NATS."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bus.asking import publish_query
from bus.connection import Bus
from bus.envelope import now_ms
from contracts import Delta, Event, Evidence, Query, Route, decode_event
from contracts.errors import AskfleetError
from loadgen.oracle import violations
from loadgen.sse import Connection, Frame, Reply, frames

JSON_EVENTS = {"accept": "text/event-stream", "content-type": "application/json"}


@dataclass(frozen=True)
class Door:
    """A bridge and a key for it."""

    host: str
    port: int
    key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return JSON_EVENTS | ({"authorization": f"Bearer {self.key}"} if self.key else {})


@dataclass(frozen=True)
class Ask:
    """A question and its options; `route` None leaves it to the router."""

    question: str
    route: Route | None = None
    top_k: int = 5
    max_tokens: int = 384

    def body(self) -> bytes:
        options = {} if self.route is None else {"route": self.route.value}
        return json.dumps(
            {"question": self.question, "top_k": self.top_k, "max_tokens": self.max_tokens, **options}
        ).encode()


@dataclass(frozen=True)
class Answer:
    """One reply of the bridge; times in seconds."""

    reply: Reply

    @property
    def took_s(self) -> float:
        return self.reply.ended_at - self.reply.sent_at

    @property
    def first_delta_s(self) -> float | None:
        """From the request to the first words; None when there are none."""
        first = next((frame for frame in frames(self.reply) if frame.event == "delta"), None)
        return None if first is None else first.at - self.reply.sent_at

    def arrived_s(self, event: str) -> float | None:
        """From the request to the first event of this type."""
        first = next((frame for frame in frames(self.reply) if frame.event == event), None)
        return None if first is None else first.at - self.reply.sent_at

    def frames(self) -> list[Frame]:
        return list(frames(self.reply))

    def events(self) -> list[Event]:
        return [decode_event(frame.data) for frame in frames(self.reply)]

    def tokens(self) -> int:
        return sum(event.tokens for event in self.events() if isinstance(event, Delta))

    def evidence(self) -> Evidence | None:
        return next((event for event in self.events() if isinstance(event, Evidence)), None)

    def violations(self) -> list[str]:
        """What the oracle says; a refusal or a lost connection is one, too."""
        if self.reply.status != 200:
            return [f"status {self.reply.status}: {self.reply.body[:200].decode(errors='replace')}"]
        if not self.reply.complete:
            return ["the connection was lost before the end"]
        return violations(self.events(), ids=[frame.id for frame in frames(self.reply)])


@dataclass
class Run:
    """The answers of one run and how long it took from the first request to the last end."""

    answers: list[Answer] = field(default_factory=list)
    began_at: float = 0.0
    took_s: float = 0.0

    def violations(self) -> list[str]:
        return [found for answer in self.answers for found in answer.violations()]


@dataclass(frozen=True)
class Crowd:
    """Clients side by side, each with a connection of its own, until `seconds` or `at_most` answers are up.

    `ramp_s`: they begin one after the other over so long. Answers of equal length would else keep clients
    that began together in step for ever: all would ask at the same moment. `pause_s`: between an answer and
    the next question.
    """

    clients: int
    seconds: float
    at_most: int = 1_000_000
    ramp_s: float = 0.0
    pause_s: float = 0.0


async def closed_loop(door: Door, ask: Callable[[int], Ask], crowd: Crowd) -> Run:
    """Each client asks again as soon as it is answered.

    Args:
        ask: the question to ask, from its number.
    """
    connections = [await Connection.open(door.host, door.port) for _ in range(crowd.clients)]
    run = Run(began_at=time.perf_counter())
    turn = _Turn(run.began_at + crowd.seconds, crowd.at_most)

    async def client(number: int, connection: Connection) -> None:
        await asyncio.sleep(crowd.ramp_s * number / crowd.clients)
        while (asked := turn.next()) is not None:
            reply = await connection.request("POST", "/v1/ask", headers=door.headers, body=ask(asked).body())
            run.answers.append(Answer(reply))
            if not reply.complete:
                return
            await asyncio.sleep(crowd.pause_s)

    try:
        await asyncio.gather(*(client(number, each) for number, each in enumerate(connections)))
    finally:
        for connection in connections:
            connection.close()
    run.took_s = max((answer.reply.ended_at for answer in run.answers), default=run.began_at) - run.began_at
    return run


@dataclass
class _Turn:
    """Gives out numbers until the time or the numbers are up."""

    ends_at: float
    at_most: int
    given: int = 0

    def next(self) -> int | None:
        if self.given >= self.at_most or time.perf_counter() >= self.ends_at:
            return None
        self.given += 1
        return self.given - 1


@dataclass
class Published:
    """What became of publishes at a steady rate. `late_s`: how far the publisher fell behind its plan."""

    stored: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    late_s: float = 0.0
    took_s: float = 0.0


async def publish_steadily(
    bus: Bus, tenant: str, questions: Sequence[str], *, rate_per_s: float, deadline_s: float
) -> Published:
    """Publish on the public subject, each at its own time whether or not those before it are stored."""
    loop = asyncio.get_running_loop()
    found = Published()
    running: set[asyncio.Task[None]] = set()
    began_at = loop.time()
    for number, question in enumerate(questions):
        wait_s = began_at + number / rate_per_s - loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        found.late_s = max(found.late_s, -wait_s)
        query = Query(id=f"load-{time.time_ns()}-{number}", question=question)
        task = asyncio.create_task(_publish(bus, tenant, query, deadline_s, found))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    found.took_s = loop.time() - began_at
    return found


async def _publish(bus: Bus, tenant: str, query: Query, deadline_s: float, found: Published) -> None:
    began = time.perf_counter()
    try:
        await publish_query(bus, tenant, query, deadline=now_ms() + int(deadline_s * 1000))
    except AskfleetError:
        found.refused.append(query.id)
        return
    found.stored.append(query.id)
    found.waits_s.append(time.perf_counter() - began)
