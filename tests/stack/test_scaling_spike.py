"""`askfleet up` from no generation worker to several and back, under a spike that loadgen's oracle judges."""

from itertools import pairwise

import pytest

from askfleet.local.state import StateFolder
from askfleet.scaling.record import Look, Question, Timeline, Verdict
from askfleet.spike import Spike, run_spike

SMALL = Spike(quiet_s=1.0, peak_per_s=28.0, peak_s=6.0, most_replicas=3, speed=90.0, interval_ms=600.0)
"""KEDA's clock runs 90 times as fast as ours; the engine, its nodes and its model are simulated."""

pytestmark = pytest.mark.timeout(180)


def test_a_spike_takes_generation_from_nothing_to_several_and_back_and_loses_nothing(
    state: StateFolder,
) -> None:
    result = run_spike(SMALL, state.root)
    totals = result.judged.totals
    assert result.judged.violations == ()
    assert result.timeline.verdict == Verdict(asked=totals.asked, done=totals.done, lost=0, broken_promises=0)
    assert totals.asked == totals.done
    assert totals.asked > 100
    assert (totals.lost, totals.stuck, totals.failed, totals.refused) == (0, 0, 0, 0)
    assert_nothing_then_several_then_nothing(result.timeline)
    assert_each_replica_was_started_cold_and_drained(result.timeline)
    assert_each_question_has_its_wait(result.timeline.questions, asked=totals.asked)


def assert_nothing_then_several_then_nothing(timeline: Timeline) -> None:
    looks: list[Look] = timeline.looks
    assert (looks[0].desired, looks[0].actual) == (0, 0)
    assert 2 <= max(look.actual for look in looks) <= 3
    last = looks[-1]
    assert (last.metric, last.desired, last.actual, last.draining) == (0, 0, 0, 0)
    # What waits holds KEDA off zero, and the cooldown does until ten minutes after.
    assert all(later.desired > 0 for _, later in pairwise(looks) if later.metric)
    idle_since = max(look.t for look in looks if any(look.lags.values()))
    at_zero = min(look.t for look in looks if look.t > idle_since and look.desired == 0)
    assert 600 <= at_zero - idle_since < 700


def assert_each_replica_was_started_cold_and_drained(timeline: Timeline) -> None:
    for name in {line.name for line in timeline.replicas}:
        way = [line.state for line in timeline.replicas if line.name == name]
        assert way == ["asked", "node", "model", "process", "ready", "draining", "ended"]


def assert_each_question_has_its_wait(questions: list[Question], *, asked: int) -> None:
    assert len(questions) == asked
    first = min(questions, key=lambda question: question.t)
    assert first.wait > SMALL.node_s + SMALL.model_s
    assert min(question.service for question in questions) > 0.9 * 8 * SMALL.interval_ms / 1_000 * SMALL.speed
