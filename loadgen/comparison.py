"""What changed from one load run to another, beyond what the runs' own numbers let one expect by chance."""

import enum
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from loadgen.distribution import Distribution
from loadgen.faults import kind_of
from loadgen.recording import Latency, ProcessSample, Recording

SHARES = {"median": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
INTERVAL_DEVIATIONS = 2.0
"""Two intervals of two deviations that do not touch are values nearly three deviations apart."""
DEVIATIONS = 3.0
COUNTED_AS_ONE = 5
LEAST_RATIO = 1.10
LEAST_RATIO_OF_ONE_VALUE = 1.20
BEYOND = 10
"""A percentile is judged where at least so many times lie beyond it."""
LEAST_DIFFERENCE_MS = 0.5
LEAST_DIFFERENCE_MIB = 16.0
"""Less is not worth a word, whatever the ratio."""
METHOD = (
    f"A percentile has changed when its intervals of {INTERVAL_DEVIATIONS:g} standard deviations do not "
    f"overlap and the ratio is at least {LEAST_RATIO:.2f}. The intervals come from order statistics of the "
    f"HDR histograms, with {COUNTED_AS_ONE} answers counted as one, since answers that meet the same queue "
    f"are slow together. At least {BEYOND} times must lie beyond the percentile in both runs. Rates and "
    f"shares have changed when they differ by {DEVIATIONS:g} standard deviations of such counts. CPU and the "
    f"highest memory are one value a run: they have changed when the ratio is at least "
    f"{LEAST_RATIO_OF_ONE_VALUE:.2f}. Differences below {LEAST_DIFFERENCE_MS:g} ms or "
    f"{LEAST_DIFFERENCE_MIB:g} MiB count as none. Runs are comparable only when scenario and machine are the "
    f"same."
)


class Verdict(enum.StrEnum):
    WORSE = "worse"
    BETTER = "better"
    SAME = "no change"
    TOO_FEW = "too few"


class Kind(enum.Enum):
    """What a value is, and so how it is written."""

    TIME_MS = "ms"
    PER_SECOND = "per second"
    SHARE = "share"
    COUNT = "count"
    MEBIBYTES = "MiB"
    CPU_MS = "CPU ms"


@dataclass(frozen=True)
class Change:
    """One value of both runs, and from how many answers or times each was made."""

    name: str
    kind: Kind
    before: float
    after: float
    counts: tuple[int, int]
    verdict: Verdict

    @property
    def ratio(self) -> float | None:
        return self.after / self.before if self.before else None


@dataclass(frozen=True)
class Comparison:
    """`scenario` names what the two scenarios have differently."""

    changes: Sequence[Change]
    scenario: Sequence[str]

    @property
    def changed(self) -> list[Change]:
        return [change for change in self.changes if change.verdict in (Verdict.WORSE, Verdict.BETTER)]

    @property
    def worse(self) -> list[Change]:
        return [change for change in self.changes if change.verdict is Verdict.WORSE]

    @property
    def headline(self) -> str:
        worse, better = len(self.worse), len(self.changed) - len(self.worse)
        if not self.changed:
            return "No change beyond noise"
        return f"{worse} worse, {better} better, of {len(self.changes)} values"


def compare(before: Recording, after: Recording) -> Comparison:
    """Raises Misconfigured when a histogram can't be read."""
    changes = [
        *_promises(before, after),
        *_latencies(before, after),
        *_rates(before, after),
        *_shares(before, after),
        *_resources(before, after),
    ]
    keys = sorted({*before.scenario, *after.scenario})
    different = [key for key in keys if before.scenario.get(key) != after.scenario.get(key)]
    return Comparison(changes, different)


def _promises(before: Recording, after: Recording) -> Iterator[Change]:
    values = {
        "broken promises": (len(before.violations), len(after.violations)),
        "lost": (before.totals.lost, after.totals.lost),
        "stuck": (before.totals.stuck, after.totals.stuck),
    }
    counts = (before.totals.asked, after.totals.asked)
    for name, (was, now) in values.items():
        yield Change(name, Kind.COUNT, was, now, counts, _direction(now - was, more_is_worse=True))


def _latencies(before: Recording, after: Recording) -> Iterator[Change]:
    for measure in sorted({*before.latencies, *after.latencies}):
        was, now = (
            Distribution.of(recording.latencies.get(measure, Latency())) for recording in (before, after)
        )
        if was.count and now.count:
            for name, share in SHARES.items():
                verdict = _of_percentile(was, now, share)
                values = (was.at(share), now.at(share))
                title = f"{measure.replace('_', ' ')} {name}"
                yield Change(title, Kind.TIME_MS, *values, (was.count, now.count), verdict)


def _of_percentile(was: Distribution, now: Distribution, share: float) -> Verdict:
    if min(was.count, now.count) * (1 - share) < BEYOND:
        return Verdict.TOO_FEW
    (was_low, was_high), (now_low, now_high) = (
        found.interval(share, deviations=INTERVAL_DEVIATIONS, counted_as_one=COUNTED_AS_ONE)
        for found in (was, now)
    )
    before, after = was.at(share), now.at(share)
    if max(before, after) < max(LEAST_RATIO * min(before, after), min(before, after) + LEAST_DIFFERENCE_MS):
        return Verdict.SAME
    if now_low > was_high:
        return Verdict.WORSE
    return Verdict.BETTER if now_high < was_low else Verdict.SAME


def _rates(before: Recording, after: Recording) -> Iterator[Change]:
    reads: dict[str, Callable[[Recording], int]] = {
        "answers": lambda recording: recording.totals.done,
        "tokens": lambda recording: recording.totals.tokens,
    }
    counts = (before.totals.done, after.totals.done)
    for name, read in reads.items():
        values = (read(before) / _seconds(before), read(after) / _seconds(after))
        if all(values):
            # Tokens come by the answer, so the number of answers says how sure their rate is.
            noise = DEVIATIONS * math.sqrt(COUNTED_AS_ONE * sum(1 / max(1, count) for count in counts))
            change = math.log(values[1] / values[0])
            beyond = abs(change) > max(noise, math.log(LEAST_RATIO))
            verdict = _direction(change if beyond else 0, more_is_worse=False)
            yield Change(f"{name} a second", Kind.PER_SECOND, *values, counts, verdict)


def _shares(before: Recording, after: Recording) -> Iterator[Change]:
    counts = (before.totals.asked, after.totals.asked)
    if not all(counts):
        return
    for name in ("refused", "failed", "unsettled"):
        was, now = (getattr(recording.totals, name) for recording in (before, after))
        pooled = (was + now) / sum(counts)
        noise = math.sqrt(COUNTED_AS_ONE * pooled * (1 - pooled) * sum(1 / count for count in counts))
        values = (was / counts[0], now / counts[1])
        change = values[1] - values[0]
        verdict = _direction(change if abs(change) > DEVIATIONS * noise else 0, more_is_worse=True)
        yield Change(f"share {name}", Kind.SHARE, *values, counts, verdict)


def _resources(before: Recording, after: Recording) -> Iterator[Change]:
    counts = (before.totals.done, after.totals.done)
    was, now = (_usage(recording) for recording in (before, after))
    for name in sorted({*was} & {*now}):
        memory, cpu = zip(was[name], now[name], strict=True)
        verdict = _of_one_value(*memory, least=LEAST_DIFFERENCE_MIB)
        yield Change(f"{name} memory", Kind.MEBIBYTES, *memory, counts, verdict)
        if all(counts):
            verdict = _of_one_value(*cpu, least=LEAST_DIFFERENCE_MS)
            yield Change(f"{name} CPU/answer", Kind.CPU_MS, *cpu, counts, verdict)


def _of_one_value(before: float, after: float, *, least: float) -> Verdict:
    low, high = sorted((before, after))
    beyond = high >= max(LEAST_RATIO_OF_ONE_VALUE * low, low + least)
    return _direction(after - before if beyond else 0, more_is_worse=True)


def _usage(recording: Recording) -> dict[str, tuple[float, float]]:
    """By kind of process: highest memory of one in MiB, CPU of all in ms an answer.

    CPU counts between the first and the last sample of each; a fall, when a child ended, counts as nothing.
    """
    lives: dict[str, dict[int, list[ProcessSample]]] = defaultdict(lambda: defaultdict(list))
    for sample in recording.processes:
        lives[kind_of(sample.name)][sample.pid].append(sample)
    answers = max(1, recording.totals.done)
    return {
        kind: (
            max(sample.rss_mib for samples in by_pid.values() for sample in samples),
            sum(map(_spent_s, by_pid.values())) * 1000 / answers,
        )
        for kind, by_pid in lives.items()
    }


def _spent_s(samples: Sequence[ProcessSample]) -> float:
    return sum(max(0.0, after.cpu_s - before.cpu_s) for before, after in pairwise(samples))


def _direction(change: float, *, more_is_worse: bool) -> Verdict:
    if not change:
        return Verdict.SAME
    return Verdict.WORSE if (change > 0) is more_is_worse else Verdict.BETTER


def _seconds(recording: Recording) -> float:
    return recording.seconds or 1.0
