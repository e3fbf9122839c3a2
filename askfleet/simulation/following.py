"""Every question on its way, with SimPy: for one cluster, or a few, and some hundred thousand questions."""

import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
import simpy

from askfleet.scaling import Autoscaler
from askfleet.simulation.demand import Demand
from askfleet.simulation.nodes import Nodes
from askfleet.simulation.outcome import Change, Outcome, Waits
from askfleet.simulation.policy import Signal
from askfleet.simulation.replica import Question, Replica
from askfleet.simulation.site import GUEST_SHARE, Site, guest_slots, helped_by

Process = Generator[simpy.Event, object, None]
Progress = Callable[[float], None]
PATIENCE_S = 7_200.0
"""After the last arrival; what has not begun by then is counted with the wait it had."""
STEPS = 50


@dataclass(frozen=True)
class Clock:
    """When the rules look: KEDA's first poll, and how long after it the HPA's first sync."""

    first_poll_s: float = 0.0
    sync_offset_s: float = 7.5


def follow(
    sites: Sequence[Site],
    demands: Sequence[Demand],
    *,
    clock: Clock = Clock(),
    guest_share: float = GUEST_SHARE,
    progress: Progress | None = None,
) -> list[Outcome]:
    """One outcome a site. Nothing here is random: chance lies in the demands.

    Args:
        progress: told now and then which share of the simulated time has passed.
    """
    return _Fleet(sites, demands, clock, guest_share).run(progress)


class _Fleet:
    def __init__(
        self, sites: Sequence[Site], demands: Sequence[Demand], clock: Clock, guest_share: float
    ) -> None:
        self.env = simpy.Environment()
        self.clock = clock
        self.guest_share = guest_share
        self.seconds = max(demand.seconds for demand in demands)
        self.clusters = [
            _Cluster(self, place, site, demand)
            for place, (site, demand) in enumerate(zip(sites, demands, strict=True))
        ]
        for place, cluster in enumerate(self.clusters):
            cluster.helpers = [self.clusters[other] for other in cluster.site.helpers]
            cluster.helped = [self.clusters[other] for other in helped_by(sites, place)]

    def run(self, progress: Progress | None) -> list[Outcome]:
        for cluster in self.clusters:
            cluster.begin()
        for step in range(1, STEPS + 1):
            self.env.run(until=self.seconds * step / STEPS)
            if progress is not None:
                progress(step / STEPS)
        hours = [cluster.nodes.gpu_hours(self.env.now) for cluster in self.clusters]
        end_s = self.seconds + PATIENCE_S
        while any(cluster.unfinished for cluster in self.clusters) and self.env.now < end_s:
            self.env.run(until=self.env.now + 60.0)
        return [cluster.outcome(spent) for cluster, spent in zip(self.clusters, hours, strict=True)]


class _Cluster:
    """A queue, the replicas that pull from it, and what decides how many there are."""

    def __init__(self, fleet: _Fleet, place: int, site: Site, demand: Demand) -> None:
        self.fleet, self.env, self.place, self.site = fleet, fleet.env, place, site
        self.helpers: list[_Cluster] = []
        self.helped: list[_Cluster] = []
        self.nodes = Nodes(site.nodes, occupied=site.policy.start)
        self.path: list[Change] = []
        self._demand = demand
        self._waits = np.full(len(demand), math.nan)
        self._answers = np.full(len(demand), math.nan)
        self._queue: deque[Question] = deque()
        self._replicas: list[Replica] = []
        self._open: deque[Replica] = deque()
        self._guests: dict[int, int] = {}
        self._made = self._cold_starts = self._spilled = self._most_ready = 0
        self._in_work = 0
        self._held_back = False
        self._queue_area = self._queue_since_s = 0.0
        self._percent_before = self._read_at_s = 0.0
        self._gone_percent_s = 0.0

    def begin(self) -> None:
        for _ in range(self.site.policy.start):
            self._make().ready = True
        for replica in list(self._replicas):
            self._offer(replica)
        self._note()
        self.env.process(self._arrive())
        self.env.process(self._look())
        if self.site.policy.scaled_object is not None:
            self.env.process(self._scale())

    @property
    def unfinished(self) -> bool:
        return bool(self._queue or self._in_work)

    # Arrivals, and who takes them

    def _arrive(self) -> Process:
        demand = self._demand
        rows = zip(
            demand.at_s.tolist(), demand.prompt_tokens.tolist(), demand.answer_tokens.tolist(), strict=True
        )
        for number, (at_s, prompt, answer) in enumerate(rows):
            if at_s > self.env.now:
                yield self.env.timeout(at_s - self.env.now)
            self._accept(Question(number, self.place, at_s, prompt, answer))

    def _accept(self, question: Question) -> None:
        if not self._queue:
            if self._take(question):
                return
            if any(helper.take_guest(question) for helper in self.helpers):
                return
        self._count_queue()
        self._queue.append(question)

    def _hands_out(self) -> bool:
        """Whether the consumer gives another message; when it did not, the next answer makes room."""
        limit = self.site.ack_pending
        self._held_back = bool(limit) and self._in_work >= limit
        return not self._held_back

    def _take(self, question: Question) -> bool:
        """By the replica that asked longest ago: pulls are served in turn."""
        if not self.fleet.clusters[question.home]._hands_out():
            return False
        for _ in range(len(self._open)):
            replica = self._open.popleft()
            replica.offered = False
            if not replica.open:
                continue
            if not replica.fits(question):
                self._offer(replica)
                continue
            self._start(question, replica)
            self._offer(replica)
            return True
        return False

    def _start(self, question: Question, replica: Replica) -> None:
        home = self.fleet.clusters[question.home]
        question.served_by = self.place
        home._waits[question.number] = self.env.now - question.at_s
        home._answers[question.number] = -self.env.now
        home._in_work += 1
        replica.admit(question)

    def take_guest(self, question: Question) -> bool:
        """A neighbour's question, where a slot is free and the neighbours' share allows it."""
        slots = sum(replica.ready for replica in self._replicas) * self.site.service.slots
        most = guest_slots(slots, self.fleet.guest_share, len(self.helped))
        in_work = self._guests.get(question.home, 0)
        if in_work >= most or not self._take(question):
            return False
        self._guests[question.home] = in_work + 1
        self.fleet.clusters[question.home]._spilled += 1
        return True

    def _ended(self, replica: Replica, question: Question) -> None:
        home = self.fleet.clusters[question.home]
        home._answers[question.number] += self.env.now
        home._in_work -= 1
        if question.home != self.place:
            self._guests[question.home] -= 1
        if not replica.draining:
            self._offer(replica)
            self.pull()
        elif not replica.in_work and replica in self._replicas:
            # Of answers that end at one moment the first finds the replica empty.
            self._gone(replica)
        if home._held_back:
            home.pull()

    def pull(self) -> None:
        """Own work first, then what neighbours have waiting."""
        while self._queue and self._take(self._queue[0]):
            self._count_queue()
            self._queue.popleft()
        if self._queue or not self._open:
            return
        for neighbour in self.helped:
            while neighbour._queue and self.take_guest(neighbour._queue[0]):
                neighbour._count_queue()
                neighbour._queue.popleft()

    def _offer(self, replica: Replica) -> None:
        if replica.open and not replica.offered:
            replica.offered = True
            self._open.append(replica)

    # How many there are

    def _scale(self) -> Process:
        scaled_object = self.site.policy.scaled_object
        assert scaled_object is not None
        clock = self.fleet.clock
        autoscaler = Autoscaler(scaled_object, sync_offset_s=clock.sync_offset_s)
        if clock.first_poll_s > 0:
            yield self.env.timeout(clock.first_poll_s)
        while True:
            metric = self._metric() if autoscaler.reads_at(self.env.now) else 0.0
            self._resize(autoscaler.step(self.env.now, metric, self._wanted).desired)
            yield self.env.timeout(autoscaler.next_s - self.env.now)

    def _metric(self) -> float:
        if self.site.policy.signal is Signal.QUEUE:
            return len(self._queue) + self._in_work
        total = self._gone_percent_s
        for replica in self._replicas:
            if replica.ready:
                replica.settle()
                total += replica.percent_s
        passed_s = self.env.now - self._read_at_s
        used = (total - self._percent_before) / passed_s if passed_s else 0.0
        self._percent_before, self._read_at_s = total, self.env.now
        return used

    @property
    def _wanted(self) -> int:
        return sum(not replica.draining for replica in self._replicas)

    def _resize(self, desired: int) -> None:
        surplus = self._wanted - desired
        for _ in range(-surplus):
            self._cold_starts += 1
            self.env.process(self._bring_up(self._make()))
        if surplus > 0:
            kept = [replica for replica in self._replicas if not replica.draining]
            # As Kubernetes chooses with pod-deletion costs: not ready, then idle, then the newest.
            kept.sort(key=lambda replica: (replica.ready, replica.in_work, -replica.number))
            for replica in kept[:surplus]:
                self._drain(replica)
        if surplus:
            self._note()

    def _make(self) -> Replica:
        self._made += 1
        replica = Replica(
            self.env, self.site.service, self.site.policy.cpu, self._ended, self._made, _since_s=self.env.now
        )
        self._replicas.append(replica)
        return replica

    def _bring_up(self, replica: Replica) -> Process:
        node_s = self.nodes.take(self.env.now)
        if self.nodes.order_spare(self.env.now):
            self.env.process(self._spare())
        yield self.env.timeout(node_s + self.site.provisioning.model_s)
        if replica.draining:
            return
        replica.settle()
        replica.percent_s = 0.0
        replica.ready = True
        self._offer(replica)
        self._note()
        self.pull()

    def _spare(self) -> Process:
        yield self.env.timeout(self.site.provisioning.node_s)
        self.nodes.spare_came()

    def _drain(self, replica: Replica) -> None:
        """It pulls no more and finishes what it has."""
        replica.draining = True
        if not replica.in_work:
            self._gone(replica)

    def _gone(self, replica: Replica) -> None:
        replica.settle()
        if replica.ready:
            self._gone_percent_s += replica.percent_s
        self._replicas.remove(replica)
        self.nodes.release()
        self.env.process(self._give_back())

    def _give_back(self) -> Process:
        yield self.env.timeout(self.site.provisioning.keep_node_s)
        self.nodes.give_back(self.env.now)

    # What is told

    def _look(self) -> Process:
        while True:
            self._note()
            yield self.env.timeout(60.0)

    def _note(self) -> None:
        ready = sum(replica.ready and not replica.draining for replica in self._replicas)
        self._most_ready = max(self._most_ready, ready)
        self.path.append(
            Change(
                self.env.now, self._wanted, ready, len(self._queue), self._in_work,
                self.nodes.count * self.site.provisioning.gpus,
            )
        )  # fmt: skip

    def _count_queue(self) -> None:
        """Before its length changes."""
        now_s = min(self.env.now, self.fleet.seconds)
        self._queue_area += len(self._queue) * (now_s - self._queue_since_s)
        self._queue_since_s = now_s

    def outcome(self, gpu_hours: float) -> Outcome:
        self._count_queue()
        unbegun = np.isnan(self._waits)
        waits = np.where(unbegun, self.env.now - self._demand.at_s, self._waits)
        ended = self._answers[self._answers >= 0]
        return Outcome(
            name=self.site.policy.name,
            waits=Waits(waits, np.ones(len(waits))),
            unbegun=float(unbegun.sum()),
            gpu_hours=gpu_hours,
            cold_starts=self._cold_starts,
            most_ready=self._most_ready,
            spilled=float(self._spilled),
            mean_in_queue=self._queue_area / self.fleet.seconds,
            path=tuple(self.path),
            answer_s=float(ended.mean()) if len(ended) else 0.0,
        )
