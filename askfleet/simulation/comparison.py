"""The same arrivals under several policies, and which of them is best."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from askfleet.scaling import ScaledObject
from askfleet.simulation.counting import count, counted, counted_times
from askfleet.simulation.demand import Demand, Floats, Lengths, Rates, at_times
from askfleet.simulation.following import follow
from askfleet.simulation.nodes import Provisioning
from askfleet.simulation.outcome import Figures, Outcome
from askfleet.simulation.policy import Policy, by_queue, down_window_s, with_window
from askfleet.simulation.service import Service
from askfleet.simulation.site import Site
from contracts.errors import Misconfigured

MOST_FOLLOWED = 400_000
"""Questions; with more of them they are counted instead, unless it is asked otherwise."""
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Load:
    """Arrivals of one cluster: each of them where they are known, else drawn from the rates by the seed."""

    rates: Rates
    lengths: Lengths
    seed: int
    at_s: Floats | None = None

    def demand(self) -> Demand:
        chance = np.random.default_rng(self.seed)
        at_s = self.rates.times(chance) if self.at_s is None else self.at_s
        return at_times(at_s, self.lengths, seconds=self.rates.seconds, chance=chance)


@dataclass(frozen=True)
class Bench:
    """One cluster on which policies are tried."""

    load: Load
    service: Service
    provisioning: Provisioning
    ack_pending: int = 0

    def site(self, policy: Policy) -> Site:
        return Site(policy.name, policy, self.service, self.provisioning, ack_pending=self.ack_pending)

    def follow(self, policies: Sequence[Policy], progress: Progress | None = None) -> list[Outcome]:
        """Every question on its way."""
        demand = self.load.demand()
        return [
            follow(
                [self.site(policy)],
                [demand],
                progress=None if progress is None else _named(progress, policy.name),
            )[0]
            for policy in policies
        ]

    def count(self, policies: Sequence[Policy], progress: Progress | None = None) -> list[Outcome]:
        """By number, side by side: each with the same chance and its own end, whatever runs beside it."""
        load = self.load
        arrivals = (
            counted(load.rates, seed=load.seed)
            if load.at_s is None
            else counted_times(load.at_s, load.rates.seconds)
        )
        sites = [self.site(policy) for policy in policies]
        told = None if progress is None else _named(progress, f"{len(sites)} policies")
        seeds = [load.seed] * len(sites)
        return count(sites, [arrivals] * len(sites), load.lengths, seeds=seeds, progress=told)

    @property
    def is_small(self) -> bool:
        return self.load.rates.expected <= MOST_FOLLOWED


def _named(progress: Progress, name: str) -> Callable[[float], None]:
    return lambda share: progress(name, share)


@dataclass(frozen=True)
class Grid:
    """What is tried: targets as shares of the slots, warm replicas and nodes, and windows of scale-in."""

    targets: tuple[float, ...]
    least: tuple[int, ...] = (0, 1, 2)
    warm_nodes: tuple[int, ...] = (0,)
    windows_s: tuple[int, ...] = ()

    def policies(self, shipped: ScaledObject) -> list[Policy]:
        own = down_window_s(shipped)
        return [
            by_queue(changed, warm_nodes=spare)
            for target in self.targets
            for window_s in self.windows_s or (own,)
            for least in self.least
            for spare in self.warm_nodes
            for changed in [with_settings(shipped, target=target, least=least, window_s=window_s)]
        ]


def targets_above(slots: int) -> tuple[int, ...]:
    """The slots and the queue that is borne for each replica, from one question to half as many as slots."""
    return tuple(sorted({slots + max(1, round(slots * share)) for share in (0, 0.125, 0.25, 0.5)}))


def targets_below(slots: int) -> tuple[int, ...]:
    """Whole numbers from half of the slots on."""
    return tuple(sorted({max(1, round(slots * share)) for share in (0.5, 0.75, 0.875)} - {slots}))


def refuse_below(slots: int, targets: Iterable[int]) -> None:
    """Raises Misconfigured for a target that busy replicas alone exceed, with nothing in the queue."""
    for target in targets:
        if target < slots:
            raise Misconfigured(
                f"--target {target} is below the {slots} slots of a replica: busy ones ask for more replicas "
                "although nothing waits, up to the maximum.",
                remedy=f"Give {slots} or more; --below-slots tries it all the same.",
            )


def with_settings(shipped: ScaledObject, *, target: float, least: int, window_s: int) -> ScaledObject:
    changed = replace(
        shipped,
        target_value=target,
        min_replicas=least,
        max_replicas=max(shipped.max_replicas, least),
        idle_replicas=None,
    )
    return with_window(changed, window_s)


@dataclass(frozen=True)
class Objective:
    """The least GPU-hours that keep these limits; None: no limit."""

    wait_p50_s: float | None = None
    wait_p95_s: float | None = None
    wait_p99_s: float | None = None
    over_deadline: float | None = None

    def keeps(self, figures: Figures) -> bool:
        pairs = (
            (self.wait_p50_s, figures.wait_p50_s),
            (self.wait_p95_s, figures.wait_p95_s),
            (self.wait_p99_s, figures.wait_p99_s),
            (self.over_deadline, figures.over_deadline),
        )
        return all(limit is None or value <= limit for limit, value in pairs)


def best(rows: Iterable[Figures], objective: Objective) -> Figures | None:
    """Of equal GPU-hours the shorter waits, then fewer cold starts; None where no row keeps the limits."""
    kept = [row for row in rows if objective.keeps(row)]
    return min(kept, key=lambda row: (row.gpu_hours, row.wait_p95_s, row.cold_starts), default=None)


def front(rows: Sequence[Figures]) -> list[Figures]:
    """Those that no other beats in GPU-hours, p95 and p99 of the wait."""
    return [row for row in rows if not any(_beats(other, row) for other in rows)]


def _beats(one: Figures, other: Figures) -> bool:
    a = (one.gpu_hours, one.wait_p95_s, one.wait_p99_s)
    b = (other.gpu_hours, other.wait_p95_s, other.wait_p99_s)
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))
