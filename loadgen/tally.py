"""Counts and times of a load run while it goes on; memory does not grow with the number of answers."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from hdrh.histogram import HdrHistogram

from loadgen.latency import percentile
from loadgen.observed import End, Habit, Observed
from loadgen.progress import Times
from loadgen.recording import Latency, Second, Totals

LONGEST_US = 3_600_000_000
FIGURES = 3
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}
RECENT_SECONDS = 10


class Histogram:
    """Times of one measure, to three significant figures, from a microsecond to an hour."""

    def __init__(self) -> None:
        self._times = HdrHistogram(1, LONGEST_US, FIGURES)

    def add(self, seconds: float) -> None:
        self._times.record_value(min(LONGEST_US, max(1, round(seconds * 1e6))))

    def times(self) -> Times:
        found = self._at(50.0, 99.0)
        return Times(self._times.total_count, found[50.0], found[99.0]) if found else Times()

    def latency(self) -> Latency:
        if not self._times.total_count:
            return Latency()
        found = self._at(*PERCENTILES.values())
        return Latency(
            count=self._times.total_count,
            worst=self._times.get_max_value() / 1e3,
            histogram=self._times.encode().decode(),
            **{name: found[share] for name, share in PERCENTILES.items()},
        )

    def _at(self, *shares: float) -> dict[float, float]:
        """In milliseconds; empty without a time."""
        if not self._times.total_count:
            return {}
        # The library's own walk over all counts takes milliseconds, of the loop that takes the times.
        sums = np.cumsum(np.ctypeslib.as_array(self._times.counts))
        wanted = [self._times.get_target_count_at_percentile(share) for share in shares]
        indexes = np.searchsorted(sums, wanted)
        values = map(self._times.get_value_from_index, indexes.tolist())
        return {
            share: self._times.get_highest_equivalent_value(value) / 1e3
            for share, value in zip(shares, values, strict=True)
        }


class Measures:
    """A histogram by the name of each measure."""

    def __init__(self) -> None:
        self._histograms: dict[str, Histogram] = {}

    def __getitem__(self, name: str) -> Histogram:
        found = self._histograms.get(name)
        if found is None:
            found = self._histograms[name] = Histogram()
        return found

    def latencies(self) -> dict[str, Latency]:
        return {name: histogram.latency() for name, histogram in self._histograms.items()}


@dataclass
class _Now:
    """The second that is under way; times in seconds."""

    started: int = 0
    ended: int = 0
    refused: int = 0
    tokens: int = 0
    first_token: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)

    def second(self, t: float, in_flight: int) -> Second:
        first, whole = sorted(self.first_token), sorted(self.whole)
        return Second(
            t=round(t, 3),
            started=self.started,
            ended=self.ended,
            refused=self.refused,
            in_flight=in_flight,
            tokens=self.tokens,
            first_token_p50_ms=_ms(first, 0.5),
            first_token_p90_ms=_ms(first, 0.9),
            first_token_p99_ms=_ms(first, 0.99),
            whole_p50_ms=_ms(whole, 0.5),
            whole_p99_ms=_ms(whole, 0.99),
        )


def _ms(ordered: list[float], share: float) -> float | None:
    return round(percentile(ordered, share) * 1e3, 3) if ordered else None


class Tally:
    """`start` each query, `end` it with what was observed, `tick` once a second."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(Totals.model_fields, 0)
        self.failures: dict[str, int] = {}
        self.all = Measures()
        self.by_route: dict[str, Measures] = {}
        self.by_tenant: dict[str, Measures] = {}
        self.late = Histogram()
        self.timeline: list[Second] = []
        self.in_flight = 0
        self._now = _Now()
        self._recent: deque[list[float]] = deque(maxlen=RECENT_SECONDS)

    @property
    def totals(self) -> Totals:
        return Totals(**self.counts)

    def start(self, late_s: float) -> None:
        self.counts["asked"] += 1
        self.in_flight += 1
        self._now.started += 1
        self.late.add(late_s)

    def first_token_came(self, after_s: float) -> None:
        self._now.first_token.append(after_s)

    def tokens_came(self, tokens: int, *, interval_s: float | None) -> None:
        self._now.tokens += tokens
        if interval_s is not None:
            self.all["token_interval"].add(interval_s)

    def end(self, seen: Observed) -> None:
        self.in_flight -= 1
        self._count(seen)
        self._now.ended += seen.end is not End.REFUSED
        self._now.refused += seen.end is End.REFUSED
        times = _times(seen)
        if "whole" in times:
            self._now.whole.append(times["whole"])
        for measures in self._measures(seen):
            for name, seconds in times.items():
                measures[name].add(seconds)
        for resume_s in seen.resumes_s:
            self.all["resume"].add(resume_s)

    def tick(self, t: float) -> None:
        self.timeline.append(self._now.second(t, self.in_flight))
        self._recent.append(self._now.first_token)
        self._now = _Now()

    def recent_first_token(self) -> Times:
        ordered = sorted(time_s for second in (*self._recent, self._now.first_token) for time_s in second)
        if not ordered:
            return Times()
        return Times(len(ordered), percentile(ordered, 0.5) * 1e3, percentile(ordered, 0.99) * 1e3)

    def recent_rate(self) -> float:
        last = self.timeline[-RECENT_SECONDS:]
        return sum(second.started for second in last) / len(last) if last else 0.0

    def _count(self, seen: Observed) -> None:
        counts = self.counts
        counts[seen.end.value] += 1
        counts["accepted"] += seen.accepted_at is not None
        counts["resumed"] += bool(seen.resumes_s)
        counts["disconnected"] += seen.left > 0
        counts["slow"] += seen.habit is Habit.SLOW
        counts["asked_again"] += seen.asks > 1
        counts["lost_connections"] += seen.lost_connections
        counts["tokens"] += seen.tokens
        if seen.problem and seen.end in (End.FAILED, End.REFUSED, End.UNSETTLED):
            self.failures[seen.problem] = self.failures.get(seen.problem, 0) + 1

    def _measures(self, seen: Observed) -> list[Measures]:
        by_tenant = self.by_tenant.setdefault(seen.witness.tenant, Measures())
        if not seen.route:
            return [self.all, by_tenant]
        return [self.all, by_tenant, self.by_route.setdefault(seen.route, Measures())]


def _times(seen: Observed) -> Mapping[str, float]:
    """From the schedule on: a client that was late to ask had its user wait all the same.

    Of clients that read slowly or were away for a while, only the acceptance says something of the system.
    """
    found = {}
    if seen.accepted_at is not None:
        found["accepted"] = seen.accepted_at - seen.scheduled_at
    if not seen.habit.is_steady:
        return found
    if seen.first_token_at is not None:
        found["first_token"] = seen.first_token_at - seen.scheduled_at
    if seen.end is End.DONE:
        found["whole"] = seen.ended_at - seen.scheduled_at
    return found
