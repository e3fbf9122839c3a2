"""What is done to a stack on purpose, and when, as data: the same seed gives the same schedule."""

import enum
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

BROKER = "nats-server"
DATABASE = "postgres"
VECTORS = "milvus"
ENGINE = "engine"
GENERATOR = "load generator"
SERVERS = (DATABASE, VECTORS, ENGINE)
"""Which can be missed for a while; the engine only where it is a process of its own."""
WORKERS = ("router", "retrieval", "sql", "generation", "ingest", "bridge")


class Kind(enum.StrEnum):
    """`KILL` (SIGKILL) and `DRAIN` (SIGTERM) are moments: the supervisor brings the process back."""

    KILL = "kill"
    DRAIN = "drain"
    FREEZE = "freeze"
    """SIGSTOP to the process and its children, SIGCONT at the end: a zombie that wakes up."""
    OUTAGE = "outage"
    """SIGKILL, and kept away until the end: its clients' connections are refused."""
    CLOCK = "clock"
    """The load generator's clock is wrong by `step_s`, and with it the deadlines that it states."""


@dataclass(frozen=True)
class Planned:
    """`t` in seconds since the start of the run; `target` is the name of a process of the stack."""

    t: float
    kind: Kind
    target: str
    lasts_s: float = 0.0
    step_s: float = 0.0


@dataclass(frozen=True)
class Trouble:
    """How much of what a chaos run does.

    Args:
        kill_every_s: from one SIGKILL of a worker to the next; 0: none.
        drain_every_s: from one SIGTERM of a worker to the next; 0: none.
        zombie_s: should be longer than `ack_wait`, so that others take over.
        outage_s: of each server in `outages`, and `freeze_s` of each in `freezes`.
        clock_steps_s: one fault each, for `clock_s`.
    """

    kill_every_s: float = 2.0
    drain_every_s: float = 0.0
    broker_restarts: int = 2
    zombies: int = 1
    zombie_s: float = 8.0
    zombie_worker: str = "generation"
    outages: Sequence[str] = (DATABASE, VECTORS)
    outage_s: float = 20.0
    freezes: Sequence[str] = ()
    freeze_s: float = 8.0
    clock_steps_s: Sequence[float] = ()
    clock_s: float = 5.0

    @property
    def of_engine(self) -> bool:
        """Something is done to the engine, which has to be a process of its own then."""
        return ENGINE in (*self.outages, *self.freezes)


def schedule(
    trouble: Trouble, workers: Sequence[str], seconds: float, *, seed: int = 7
) -> tuple[Planned, ...]:
    """In the order of their times; all have ended before `seconds`.

    Args:
        workers: names of the processes, such as `bridge` and `bridge-2`.
    """
    chance = random.Random(f"{seed}:faults")  # noqa: S311 (not for secrets)
    rare = list(_rare(trouble, workers, chance))
    chance.shuffle(rare)
    planned = [
        *_in_turn(Kind.KILL, trouble.kill_every_s, workers, seconds, chance),
        *_in_turn(Kind.DRAIN, trouble.drain_every_s, workers, seconds, chance),
        *_spread(rare, seconds, chance),
    ]
    return tuple(sorted(planned, key=attrgetter("t")))


def rolling(workers: Sequence[str], *, begin_s: float = 2.0) -> tuple[Planned, ...]:
    """SIGTERM to every worker: all due at once, for each waits until the one before is back."""
    return tuple(Planned(begin_s, Kind.DRAIN, worker) for worker in workers)


def kind_of(name: str) -> str:
    """`generation` for `generation-2`."""
    word, _, number = name.rpartition("-")
    return word if number.isdecimal() else name


def counts(planned: Iterable[Planned]) -> dict[str, int]:
    """How many of each kind, kills and drains by worker: `kill router`, `outage postgres`."""
    found: dict[str, int] = {}
    for fault in planned:
        name = f"{fault.kind} {kind_of(fault.target)}"
        found[name] = found.get(name, 0) + 1
    return found


def _rare(trouble: Trouble, workers: Sequence[str], chance: random.Random) -> Iterator[Planned]:
    for _ in range(trouble.broker_restarts):
        yield Planned(0.0, Kind.KILL, BROKER)
    for _ in range(trouble.zombies):
        alike = [name for name in workers if kind_of(name) == trouble.zombie_worker]
        yield Planned(0.0, Kind.FREEZE, chance.choice(alike), trouble.zombie_s)
    for server in trouble.outages:
        yield Planned(0.0, Kind.OUTAGE, server, trouble.outage_s)
    for server in trouble.freezes:
        yield Planned(0.0, Kind.FREEZE, server, trouble.freeze_s)
    for step_s in trouble.clock_steps_s:
        yield Planned(0.0, Kind.CLOCK, GENERATOR, trouble.clock_s, step_s)


def _spread(faults: Sequence[Planned], seconds: float, chance: random.Random) -> Iterator[Planned]:
    """Each somewhere in a part of the run of its own; a long one reaches into the next."""
    share = seconds / max(1, len(faults))
    for number, fault in enumerate(faults):
        lasts_s = min(fault.lasts_s, seconds / 3)
        earliest = share * number + min(1.0, share / 4)
        latest = max(earliest, share * (number + 1) - lasts_s)
        t = min(chance.uniform(earliest, latest), seconds - 1.0 - lasts_s)
        yield Planned(round(t, 3), fault.kind, fault.target, lasts_s, fault.step_s)


def _in_turn(
    kind: Kind, every_s: float, workers: Sequence[str], seconds: float, chance: random.Random
) -> Iterator[Planned]:
    """Rounds in which each kind of worker is hit once, in an order by chance: single workers get theirs."""
    if every_s <= 0 or not workers:
        return
    victims = _victims(workers, chance)
    for number in range(1, int((seconds - 0.001) / every_s) + 1):
        yield Planned(round(number * every_s, 3), kind, next(victims))


def _victims(workers: Sequence[str], chance: random.Random) -> Iterator[str]:
    kinds = sorted({kind_of(name) for name in workers})
    while True:
        chance.shuffle(kinds)
        for kind in kinds:
            yield chance.choice([name for name in workers if kind_of(name) == kind])
