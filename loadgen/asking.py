"""One query at one door, from its schedule to its end: what every kind of client keeps track of."""

import random
import time
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

from loadgen.mix import Order
from loadgen.observed import End, Observed
from loadgen.patience import Pauses
from loadgen.reading import Reading
from loadgen.scenario import Scenario
from loadgen.witness import Outcome, Witness


class Client(Protocol):
    """Asks at one door. `scheduled_at` in seconds of `time.perf_counter`."""

    async def ask(self, order: Order, *, scheduled_at: float) -> Observed: ...


@dataclass
class Asking:
    """Times in seconds of `time.perf_counter`, `deadline` in epoch milliseconds.

    Args:
        refused: the last answer of the door; nothing of the query is anywhere.
        uncertain: an attempt may have stored the query although the door did not say so.
        missing: the door says that there is no such answer.
        whole: the last connection was read to its end.
    """

    order: Order
    scenario: Scenario
    scheduled_at: float
    reading: Reading
    chance: random.Random
    sent_at: float = field(default_factory=perf_counter)
    deadline: int = field(init=False)
    accepted_at: float | None = None
    cancelled_at: float | None = None
    status: int = 0
    problem: str = ""
    refused: bool = False
    uncertain: bool = False
    missing: bool = False
    whole: bool = False
    asks: int = 0
    lost_connections: int = 0
    left: int = 0
    resumes_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.deadline = time.time_ns() // 1_000_000 + int(self.scenario.deadline_s * 1_000)

    @property
    def remaining_s(self) -> float:
        """Until the deadline, by the clock that does not step."""
        return self.sent_at + self.scenario.deadline_s - perf_counter()

    def pauses(self) -> Pauses:
        return Pauses(self.chance)

    def observed(self, *, origin: float) -> Observed:
        """Args: origin: the start of the run."""
        order, reading = self.order, self.reading
        witness = Witness(
            order.tenant, order.query_id, self._outcome(), self.deadline, tuple(reading.seen), self.whole
        )
        return Observed(
            witness,
            order.number,
            order.door,
            order.habit,
            self._end(),
            scheduled_at=self.scheduled_at - origin,
            sent_at=self.sent_at - origin,
            ended_at=(reading.ended_at or perf_counter()) - origin,
            accepted_at=_since(origin, self.accepted_at),
            first_token_at=_since(origin, reading.first_token_at),
            cancelled_at=_since(origin, self.cancelled_at),
            route=reading.route,
            problem=reading.problem or self.problem,
            status=self.status,
            tokens=reading.tokens,
            asks=self.asks,
            resumes_s=tuple(self.resumes_s),
            lost_connections=self.lost_connections,
            left=self.left,
        )

    def _outcome(self) -> Outcome:
        if self.accepted_at is not None:
            return Outcome.ACCEPTED
        return Outcome.REFUSED if self.refused else Outcome.UNKNOWN

    def _end(self) -> End:
        if self.reading.end is not None:
            return self.reading.end
        if self.accepted_at is None:
            return End.REFUSED if self.refused else End.UNSETTLED
        return End.LOST if self.missing and not self.reading.seen else End.STUCK


def _since(origin: float, at: float | None) -> float | None:
    return None if at is None else at - origin
