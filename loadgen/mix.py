"""Who asks what at which door: the same orders for the same seed."""

import itertools
import random
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Generic, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict

from contracts import Route
from contracts.errors import Misconfigured
from loadgen.arrivals import due_times
from loadgen.observed import Door, Habit
from loadgen.scenario import Closed, Questions, Replay, Scenario, Span
from loadgen.trace import Recorded, read_trace

T = TypeVar("T")


@dataclass(frozen=True)
class Order:
    """One query of a run.

    Args:
        after_s: from the acceptance to a cancel or a disconnect.
        pause_s: from a disconnect to the resume.
    """

    number: int
    query_id: str
    tenant: str
    question: str
    route: Route | None = None
    door: Door = Door.HTTP
    habit: Habit = Habit.READ
    after_s: float = 0.0
    pause_s: float = 0.0


class _BuiltIn(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    documents: tuple[str, ...]
    sql: tuple[str, ...]
    both: tuple[str, ...]
    direct: tuple[str, ...]

    def about(self, route: Route) -> tuple[str, ...]:
        named = {
            Route.DOCUMENTS: self.documents,
            Route.SQL: self.sql,
            Route.BOTH: self.both,
            Route.DIRECT: self.direct,
        }
        return named[route]


@dataclass(frozen=True)
class Weighted(Generic[T]):
    """Things to draw from."""

    things: Sequence[T]
    sums: Sequence[float]

    @classmethod
    def of(cls, things: Sequence[T], weights: Sequence[float]) -> "Weighted[T]":
        return cls(things, tuple(itertools.accumulate(weights)))

    def draw(self, chance: random.Random) -> T:
        return chance.choices(self.things, cum_weights=self.sums)[0]


@dataclass(frozen=True)
class _Kind:
    texts: Sequence[str]
    route: Route | None


class Mix:
    """Draws orders one after the other. The ids are new for each run: a second run asks anew."""

    def __init__(self, scenario: Scenario, chance: random.Random) -> None:
        self._scenario = scenario
        self._chance = chance
        self._run = secrets.token_hex(4)
        self._drawn = 0
        kinds = [_Kind(_texts(each), each.route) for each in scenario.questions]
        self._kinds = Weighted.of(kinds, [each.weight for each in scenario.questions])
        tenants = scenario.tenants
        self._tenants = Weighted.of([each.name for each in tenants], [each.share for each in tenants])
        doors = scenario.doors
        self._doors = Weighted.of(tuple(Door), (doors.http, doors.nats, doors.openai))
        habits = scenario.clients
        plain = max(0.0, 1.0 - habits.cancel - habits.resume - habits.slow)
        self._habits = Weighted.of(
            (Habit.READ, Habit.CANCEL, Habit.LEAVE, Habit.SLOW),
            (plain, habits.cancel, habits.resume, habits.slow),
        )

    def draw(self, recorded: Recorded | None = None) -> Order:
        """The next order; what the trace recorded stands."""
        kind = self._kinds.draw(self._chance)
        question = self._chance.choice(kind.texts)
        tenant = self._tenants.draw(self._chance)
        door = self._doors.draw(self._chance)
        habit = self._habits.draw(self._chance)
        habits = self._scenario.clients
        span = habits.cancel_after_s if habit is Habit.CANCEL else habits.resume_after_s
        after_s, pause_s = self._within(span), self._within(habits.pause_s)
        number, self._drawn = self._drawn, self._drawn + 1
        return Order(
            number,
            f"load-{self._run}-{number}",
            tenant=(recorded and recorded.tenant) or tenant,
            question=(recorded and recorded.question) or question,
            route=(recorded and recorded.route) or kind.route,
            door=door,
            habit=habit,
            after_s=after_s,
            pause_s=pause_s,
        )

    def _within(self, span: Span) -> float:
        return self._chance.uniform(*span)


@dataclass(frozen=True)
class Due:
    at_s: float
    order: Order


def open_loop(scenario: Scenario) -> Iterator[Due]:
    """The orders of a scenario whose clients do not wait for each other, in the order of their times."""
    mix = Mix(scenario, random.Random(scenario.seed))  # noqa: S311 (not for secrets)
    arrivals = scenario.arrivals
    if isinstance(arrivals, Closed):
        raise Misconfigured("Clients that ask one after the other have no times of their own.")
    if isinstance(arrivals, Replay):
        for recorded in read_trace(arrivals.file):
            at_s = recorded.at_s / arrivals.speed
            if at_s < scenario.seconds:
                yield Due(at_s, mix.draw(recorded))
        return
    times = random.Random(f"{scenario.seed}:times")  # noqa: S311 (another sequence than the mix's)
    for at_s in due_times(arrivals, scenario.seconds, times):
        yield Due(at_s, mix.draw())


def _texts(questions: Questions) -> tuple[str, ...]:
    if questions.file is not None:
        return _read(questions.file)
    return questions.texts or built_in().about(questions.about)


def _read(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"The questions {path} can't be read: {error}.", remedy="Check the file."
        ) from error
    found = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not found:
        raise Misconfigured(f"The file {path} holds no question.", remedy="Write one question a line.")
    return found


def built_in() -> _BuiltIn:
    text = files("loadgen").joinpath("questions.yaml").read_text(encoding="utf-8")
    return _BuiltIn.model_validate(yaml.safe_load(text))
