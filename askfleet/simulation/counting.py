"""Questions by number, second by second: for whole fleets and for many candidates at once.

The rules of scaling, the nodes and the bounds of neighbours' help are those of `following`; questions are
not told apart. What is in work at a site moves through stages whose times add up to the mean of an answer
in the batch of that moment, so answers vary about as much as lengths do; waits follow from the counts of
arrivals and starts, first come, first served. Exact to about a second; tests hold it against `following`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
import numpy.typing as npt

from askfleet.scaling import Autoscaler
from askfleet.simulation.demand import Floats, Lengths, Rates
from askfleet.simulation.nodes import Nodes
from askfleet.simulation.outcome import Change, Outcome, Waits
from askfleet.simulation.policy import Signal
from askfleet.simulation.site import GUEST_SHARE, Site, guest_slots, helped_by

Counts = npt.NDArray[np.int64]
Progress = Callable[[float], None]

STEP_S = 1.0
PATIENCE_S = 7_200.0
MOST_STAGES = 3
"""An answer's time then varies by 0.58 of its mean, which lengths with a variation of 0.6 come near."""
NOTE_EVERY_S = 60.0
NO_LIMIT = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Counted:
    """Arrivals at each step of a site."""

    per_step: Counts

    @property
    def seconds(self) -> float:
        return len(self.per_step) * STEP_S


def counted(rates: Rates, *, seed: int) -> Counted:
    """Poisson counts; the same for the same seed."""
    chance = np.random.default_rng(seed)
    each_s = np.repeat(rates.per_s, round(60.0 / STEP_S))
    return Counted(chance.poisson(each_s * STEP_S))


def counted_times(at_s: Floats, seconds: float) -> Counted:
    """Of arrivals that are known one by one."""
    steps = math.ceil(seconds / STEP_S)
    counts, _ = np.histogram(at_s, bins=steps, range=(0.0, steps * STEP_S))
    return Counted(counts.astype(np.int64))


def count(
    sites: Sequence[Site],
    arrivals: Sequence[Counted],
    lengths: Lengths,
    *,
    seeds: Sequence[int],
    guest_share: float = GUEST_SHARE,
    progress: Progress | None = None,
) -> list[Outcome]:
    """One outcome a site. Sites that help each other share chance and end; others are as if they ran alone.

    Args:
        seeds: one a site, of what ends when; sites that help each other follow the first's. That of arrivals
            lies in them.
    """
    return _Count(sites, arrivals, lengths, guest_share, seeds).run(progress)


def groups_of(sites: Sequence[Site]) -> list[list[int]]:
    """Places that help each other, at first or at third hand."""
    groups: list[list[int]] = []
    for place, site in enumerate(sites):
        met = {place, *site.helpers}
        joined = [group for group in groups if met & set(group)]
        groups = [group for group in groups if group not in joined]
        groups.append(sorted(met.union(*joined)))
    return sorted(groups)


class _Count:
    """Rows of `work` are pairs of who works for whom, the own ones first; columns are the stages."""

    def __init__(
        self,
        sites: Sequence[Site],
        arrivals: Sequence[Counted],
        lengths: Lengths,
        guest_share: float,
        seeds: Sequence[int],
    ) -> None:
        self.sites = sites
        self.lengths = lengths
        self.steps = max(len(each.per_step) for each in arrivals)
        self.arrivals = np.zeros((self.steps, len(sites)), dtype=np.int64)
        for place, each in enumerate(arrivals):
            self.arrivals[: len(each.per_step), place] = each.per_step
        own = [(place, place) for place in range(len(sites))]
        away = [(helper, home) for home, site in enumerate(sites) for helper in site.helpers]
        self.pairs = own + away
        self.worker = np.array([worker for worker, _ in self.pairs])
        self.home = np.array([home for _, home in self.pairs])
        self.row = {pair: number for number, pair in enumerate(self.pairs)}
        self.groups = [np.array(group) for group in groups_of(sites)]
        self.rows = [np.flatnonzero(np.isin(self.home, group)) for group in self.groups]
        self.chances = [np.random.default_rng(seeds[group[0]]) for group in self.groups]
        self.guest_share = guest_share
        self.neighbours = [len(helped_by(sites, place)) for place in range(len(sites))]
        self._set_service()
        self.work = np.zeros((len(self.pairs), self.stages), dtype=np.int64)
        self.leaving = np.zeros_like(self.work)
        self.waiting = np.zeros(len(sites), dtype=np.int64)
        self.pools = [_Pool(site) for site in sites]
        self.open = np.ones(len(sites), dtype=bool)

    def _set_service(self) -> None:
        services = [site.service for site in self.sites]
        tokens = self.lengths.prompt_tokens + self.lengths.answer_tokens
        self.first_s = np.array([each.first_s(self.lengths.prompt_tokens) for each in services])
        self.alone_s = np.array([each.alone_s for each in services])
        self.growth_s = np.array([each.growth_s for each in services])
        self.slots = np.array([each.at_once(tokens) for each in services])
        self.ack_pending = np.array([site.ack_pending or NO_LIMIT for site in self.sites])
        drawn = self.lengths.answers(100_000, np.random.default_rng(0))
        self.answer_tokens = float(drawn.mean())
        shortest_s = float((self.first_s + self.answer_tokens * self.alone_s).min())
        self.stages = max(1, min(MOST_STAGES, int(shortest_s / (1.2 * STEP_S))))

    def run(self, progress: Progress | None) -> list[Outcome]:
        arrived, started = [], []
        patience = round(PATIENCE_S / STEP_S)
        nobody = np.zeros(len(self.sites), dtype=np.int64)
        self.spilled = np.zeros(len(self.sites), dtype=np.int64)
        self.answer_area = np.zeros(len(self.sites))
        hours: list[float] = []
        for step in range(self.steps + patience):
            if step == self.steps:
                hours = [pool.nodes.gpu_hours(step * STEP_S) for pool in self.pools]
            if step >= self.steps and not self._still_open():
                break
            new = self.arrivals[step] if step < self.steps else nobody
            arrived.append(new)
            started.append(self._step(step * STEP_S, new))
            if progress is not None and step % 600 == 0:
                progress(min(1.0, step / self.steps))
        else:
            started.append(self.waiting.copy())
            arrived.append(nobody)
        return self._outcomes(np.array(arrived), np.array(started), hours)

    def _still_open(self) -> bool:
        """Closes groups in which nobody waits any more, whatever waits elsewhere."""
        for group in self.groups:
            if not self.waiting[group].any():
                self.open[group] = False
        return bool(self.open.any())

    @property
    def _open_pools(self) -> list[tuple[int, "_Pool"]]:
        return [(place, pool) for place, pool in enumerate(self.pools) if self.open[place]]

    def _step(self, now_s: float, new: Counts) -> Counts:
        self._end_answers()
        self.waiting += new
        lag: Floats | None = None
        for place, pool in self._open_pools:
            if pool.due_s <= now_s:
                pool.catch_up(now_s)
            if pool.look_s <= now_s:
                lag = self.waiting + self._of_home() if lag is None else lag
                self._look(place, pool, now_s, float(lag[place]))
        started = self._start()
        if now_s % NOTE_EVERY_S == 0:
            in_work = self._of_home()
            for place, pool in self._open_pools:
                pool.note(now_s, float(self.waiting[place]), float(in_work[place]))
        return started

    def _end_answers(self) -> None:
        """Each stage gives up a share; what leaves the last one is written."""
        count = len(self.sites)
        ready = np.array([pool.ready for pool in self.pools])
        leaving = np.array([pool.leaving for pool in self.pools])
        at_worker = np.bincount(self.worker, (self.work + self.leaving).sum(axis=1), minlength=count)
        batch = at_worker / np.maximum(1, ready + leaving)
        answer_s = self.first_s + self.answer_tokens * (
            self.alone_s + self.growth_s * np.maximum(0.0, batch - 1)
        )
        share = np.minimum(1.0, self.stages * STEP_S / answer_s)[self.worker][:, None]
        for block in (self.work, self.leaving):
            if not block.any():
                continue
            moved = self._moved(block, share)
            block -= moved
            block[:, 1:] += moved[:, :-1]
        if leaving.any():
            left = np.bincount(self.worker, self.leaving.sum(axis=1), minlength=count)
            for place in np.flatnonzero(leaving):
                self.pools[place].keep_leaving(int(left[place]))

    def _moved(self, block: Counts, share: Floats) -> Counts:
        """By chance, which is each group's own."""
        if len(self.groups) == 1:
            return self.chances[0].binomial(block, share)
        moved = np.empty_like(block)
        for chance, rows in zip(self.chances, self.rows, strict=True):
            moved[rows] = chance.binomial(block[rows], share[rows])
        return moved

    def _look(self, place: int, pool: "_Pool", now_s: float, lag: float) -> None:
        before = pool.ready
        pool.step(now_s, lag if pool.site.policy.signal is Signal.QUEUE else self._percent(place, pool))
        gone = before - pool.ready
        if gone > 0:
            self._take_along(place, gone / before)

    def _take_along(self, place: int, share: float) -> None:
        """What the replicas that leave have in work."""
        rows = self.worker == place
        taken = np.rint(self.work[rows] * share).astype(np.int64)
        self.work[rows] -= taken
        self.leaving[rows] += taken

    def _percent(self, place: int, pool: "_Pool") -> float:
        """CPU of all ready replicas; answers are spread over them by chance."""
        if not pool.ready:
            return 0.0
        cpu, batch = pool.site.policy.cpu, self.work[self.worker == place].sum() / pool.ready
        busy = 1 - math.exp(-batch)
        mean = busy * cpu.percent(batch / busy) + (1 - busy) * cpu.percent(0) if busy else cpu.percent(0)
        return float(mean * pool.ready)

    def _of_home(self) -> Floats:
        in_work = (self.work + self.leaving).sum(axis=1)
        return np.bincount(self.home, in_work, minlength=len(self.sites)).astype(np.float64)

    def _start(self) -> Counts:
        """The own workers first, then neighbours by what they may take."""
        count = len(self.sites)
        used = np.bincount(self.worker, self.work.sum(axis=1), minlength=count).astype(np.int64)
        capacity = np.array([pool.ready for pool in self.pools]) * self.slots
        free = np.maximum(0, capacity - used)
        room = np.maximum(0, self.ack_pending - self._of_home().astype(np.int64))
        started = np.minimum(np.minimum(self.waiting, free), room)
        self.waiting -= started
        self.work[:count, 0] += started
        free -= started
        self._spill(free, capacity, room, started)
        self.answer_area += np.where(self.open, self._of_home(), 0.0)
        return np.asarray(started, dtype=np.int64)

    def _spill(self, free: Counts, capacity: Counts, room: Counts, started: Counts) -> None:
        """Adds to `started` what neighbours took."""
        for place in np.flatnonzero(self.waiting).tolist():
            handed_out = min(self.waiting[place], room[place] - started[place])
            for helper in self.sites[place].helpers:
                if handed_out <= 0:
                    break
                row = self.row[(helper, place)]
                most = guest_slots(int(capacity[helper]), self.guest_share, self.neighbours[helper])
                taken = max(0, min(handed_out, free[helper], most - int(self.work[row].sum())))
                handed_out -= taken
                self.work[row, 0] += taken
                free[helper] -= taken
                self.waiting[place] -= taken
                started[place] += taken
                self.spilled[place] += taken

    def _outcomes(self, arrived: Counts, started: Counts, hours: list[float]) -> list[Outcome]:
        outcomes = []
        for place, (site, pool) in enumerate(zip(self.sites, self.pools, strict=True)):
            waits = waits_of(arrived[:, place], started[:, place])
            begun = max(1.0, waits.questions - float(self.waiting[place]))
            outcomes.append(
                Outcome(
                    name=site.policy.name,
                    waits=waits,
                    unbegun=float(self.waiting[place]),
                    gpu_hours=hours[place],
                    cold_starts=pool.cold_starts,
                    most_ready=pool.most_ready,
                    spilled=float(self.spilled[place]),
                    mean_in_queue=waits.mean * waits.questions / (self.steps * STEP_S),
                    path=tuple(pool.path),
                    answer_s=float(self.answer_area[place] * STEP_S / begun),
                )
            )
        return outcomes


def waits_of(arrived: Counts, started: Counts) -> Waits:
    """First come, first served: the n-th to arrive is the n-th to begin."""
    come, gone = np.cumsum(arrived), np.cumsum(started)
    edges = np.union1d(np.concatenate([[0], come]), gone[gone <= come[-1]])
    middle = (edges[1:] + edges[:-1]) / 2
    steps = np.searchsorted(gone, middle) - np.searchsorted(come, middle)
    return Waits(np.maximum(0, steps) * STEP_S, np.diff(edges).astype(np.float64))


class _Pool:
    """Replicas of one site by number, and when the next thing is due."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.nodes = Nodes(site.nodes, occupied=site.policy.start)
        self.ready = site.policy.start
        self.leaving = 0
        self.cold_starts = 0
        self.most_ready = self.ready
        self.path: list[Change] = []
        self.look_s = math.inf
        self._autoscaler: Autoscaler | None = None
        if site.policy.scaled_object is not None:
            self._autoscaler = Autoscaler(site.policy.scaled_object)
            self.look_s = 0.0
        self._coming: list[float] = []
        self._spares: list[float] = []
        self._idle: list[float] = []
        self._now_s = 0.0

    @property
    def due_s(self) -> float:
        return min(
            self._coming[0] if self._coming else math.inf,
            self._spares[0] if self._spares else math.inf,
            self._idle[0] if self._idle else math.inf,
        )

    def catch_up(self, now_s: float) -> None:
        """What has come, what is given back."""
        self._now_s = now_s
        while self._coming and self._coming[0] <= now_s:
            heappop(self._coming)
            self.ready += 1
        self.most_ready = max(self.most_ready, self.ready)
        while self._spares and self._spares[0] <= now_s:
            heappop(self._spares)
            self.nodes.spare_came()
        while self._idle and self._idle[0] <= now_s:
            heappop(self._idle)
            self.nodes.give_back(now_s)

    def step(self, now_s: float, metric: float) -> None:
        assert self._autoscaler is not None
        self._now_s = now_s
        wanted = self.ready + len(self._coming)
        desired = self._autoscaler.step(now_s, metric, wanted).desired
        self.look_s = self._autoscaler.next_s
        for _ in range(desired - wanted):
            self._bring_up(now_s)
        if wanted > desired:
            self._drain(wanted - desired)

    def keep_leaving(self, in_work: int) -> None:
        """At most one replica for each answer that is still written."""
        self._release(self.leaving - min(self.leaving, in_work))

    def note(self, now_s: float, waiting: float, in_work: float) -> None:
        gpus = self.nodes.count * self.site.provisioning.gpus
        wanted = self.ready + len(self._coming)
        self.path.append(Change(now_s, wanted, self.ready, waiting, in_work, gpus))

    def _bring_up(self, now_s: float) -> None:
        self.cold_starts += 1
        node_s = self.nodes.take(now_s)
        if self.nodes.order_spare(now_s):
            heappush(self._spares, now_s + self.site.provisioning.node_s)
        heappush(self._coming, now_s + node_s + self.site.provisioning.model_s)

    def _drain(self, surplus: int) -> None:
        """What is not ready goes first, the newest of it."""
        unready = min(surplus, len(self._coming))
        if unready:
            self._coming = sorted(self._coming)[: len(self._coming) - unready]
            self._free_nodes(unready)
        self.ready -= surplus - unready
        self.leaving += surplus - unready

    def _release(self, count: int) -> None:
        self.leaving -= count
        self._free_nodes(count)

    def _free_nodes(self, count: int) -> None:
        for _ in range(count):
            self.nodes.release()
            heappush(self._idle, self._now_s + self.site.provisioning.keep_node_s)
