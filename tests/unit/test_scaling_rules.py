"""KEDA's and the HPA's rules, case by case and as properties."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askfleet.scaling import (
    Autoscaler,
    Behavior,
    Fallback,
    FallbackBehavior,
    Policy,
    PolicyKind,
    Rules,
    ScaledObject,
    Selection,
    Trigger,
    proposed_replicas,
)
from askfleet.scaling.formula import Formula, FormulaError
from askfleet.scaling.scaled_object import DEFAULT_BEHAVIOR, DEFAULT_DOWN, DEFAULT_UP

SPIKE = ScaledObject(
    name="generation",
    target="generation",
    triggers=(Trigger("fresh", "FLEET", "GENERATE", "generation"),),
    formula=Formula("fresh"),
    target_value=4,
    polling_interval_s=5,
    cooldown_s=60,
    cached_metrics=True,
)


def path(
    scaled_object: ScaledObject, lags: Sequence[float | None], *, replicas: int, every_s: int = 15
) -> list[int]:
    """The replicas after each look, when every decision takes effect at once."""
    autoscaler = Autoscaler(scaled_object, sync_offset_s=0)
    found = []
    for number, lag in enumerate(lags):
        replicas = autoscaler.step(number * every_s, lag, replicas).desired
        found.append(replicas)
    return found


@pytest.mark.parametrize(
    ("replicas", "lag", "target", "result"),
    [
        (10, 42, 4, 10),
        (10, 45, 4, 12),
        (3, 47, 4, 12),
        (4, 8, 4, 2),
        (10, 44, 4, 10),
        (10, 36, 4, 10),
        (10, 35, 4, 9),
    ],
)
def test_usage_over_target_decides_outside_of_the_tolerance(
    replicas: int, lag: int, target: int, result: int
) -> None:
    assert proposed_replicas(lag, target=target, replicas=replicas) == result


def test_each_direction_has_a_tolerance_of_its_own() -> None:
    eager_down = Behavior(replace(DEFAULT_UP, tolerance=0.5), replace(DEFAULT_DOWN, tolerance=0.05))
    assert proposed_replicas(60, target=4, replicas=10, behavior=eager_down) == 10
    assert proposed_replicas(61, target=4, replicas=10, behavior=eager_down) == 16
    assert proposed_replicas(38, target=4, replicas=10, behavior=eager_down) == 10
    assert proposed_replicas(36, target=4, replicas=10, behavior=eager_down) == 9


def test_a_lag_of_parts_is_rounded_up() -> None:
    assert proposed_replicas(49, target=4, replicas=1) == 13
    assert proposed_replicas(0.001, target=4, replicas=3) == 1


def test_busy_replicas_with_nothing_waiting_ask_for_more_only_below_their_slots() -> None:
    """Each of N works on 64: at a target of 64 or more N stay, below it they ask for more to the maximum."""
    for target, last in ((64, 3), (80, 3), (56, 16)):
        replicas = 3
        for _ in range(40):
            replicas = min(16, proposed_replicas(64 * replicas, target=target, replicas=replicas))
        assert replicas == last


def test_the_default_policy_doubles_or_adds_four_each_15_s() -> None:
    assert path(SPIKE, [1_000] * 4, replicas=1) == [5, 10, 20, 40]


def test_without_any_behaviour_the_hpa_doubles_or_goes_to_four() -> None:
    assert path(replace(SPIKE, behavior=None), [1_000] * 4, replicas=1) == [4, 8, 16, 32]


def test_what_is_as_old_as_the_window_counts_only_without_a_behaviour() -> None:
    lags = [32.0, *[4.0] * 21]
    assert path(SPIKE, lags, replicas=8)[19:] == [8, 1, 1]
    assert path(replace(SPIKE, behavior=None), lags, replicas=8)[19:] == [8, 8, 1]


def test_a_policy_counts_what_was_added_in_its_period() -> None:
    slow = replace(DEFAULT_UP, policies=(Policy(PolicyKind.PODS, 2, 60),))
    scaled_object = replace(SPIKE, behavior=Behavior(up=slow, down=DEFAULT_DOWN))
    assert path(scaled_object, [1_000] * 6, replicas=1) == [3, 3, 3, 3, 5, 5]


def test_select_policy_min_takes_the_smaller_change_and_disabled_none() -> None:
    least = Behavior(up=replace(DEFAULT_UP, selection=Selection.MIN), down=DEFAULT_DOWN)
    assert path(replace(SPIKE, behavior=least), [1_000] * 3, replicas=1) == [2, 4, 8]
    none = Behavior(up=replace(DEFAULT_UP, selection=Selection.DISABLED), down=DEFAULT_DOWN)
    assert path(replace(SPIKE, behavior=none), [1_000] * 3, replicas=1) == [1, 1, 1]


def test_of_two_policies_of_scale_in_max_takes_the_larger_change_and_disabled_none() -> None:
    policies = (Policy(PolicyKind.PODS, 1, 15), Policy(PolicyKind.PERCENT, 50, 15))
    for selection, found in (
        (Selection.MAX, [8, 4, 2]),
        (Selection.MIN, [15, 14, 13]),
        (Selection.DISABLED, [16, 16, 16]),
    ):
        down = Rules(policies=policies, window_s=0, selection=selection)
        scaled_object = replace(SPIKE, behavior=Behavior(up=DEFAULT_UP, down=down))
        assert path(scaled_object, [64, 4, 4, 4], replicas=16)[1:] == found


def test_a_share_of_the_pods_is_rounded_in_favour_of_the_change() -> None:
    """As in the source: 3 and a half of them are 5, half of 5 are 2."""
    half = (Policy(PolicyKind.PERCENT, 50, 15),)
    up = Behavior(up=replace(DEFAULT_UP, policies=half), down=DEFAULT_DOWN)
    assert path(replace(SPIKE, behavior=up), [1_000] * 3, replicas=3) == [5, 8, 12]
    down = Behavior(up=DEFAULT_UP, down=Rules(policies=half, window_s=0))
    assert path(replace(SPIKE, behavior=down), [20, 4, 4], replicas=5) == [5, 2, 1]


def test_scale_in_waits_for_the_window_and_then_follows_the_policy() -> None:
    halves = Rules(policies=(Policy(PolicyKind.PERCENT, 50, 30),), window_s=60)
    scaled_object = replace(SPIKE, behavior=Behavior(up=DEFAULT_UP, down=halves))
    assert path(scaled_object, [64] + [4] * 8, replicas=16) == [16, 16, 16, 16, 8, 8, 4, 4, 2]


def test_a_short_dip_does_not_scale_in() -> None:
    assert path(SPIKE, [64, 4, 4, 64, 4], replicas=16) == [16] * 5


def test_a_scale_up_window_takes_the_lowest_of_what_was_recommended() -> None:
    patient = Behavior(up=replace(DEFAULT_UP, window_s=30), down=DEFAULT_DOWN)
    assert path(replace(SPIKE, behavior=patient), [100, 8, 100, 100, 100], replicas=1) == [1, 1, 2, 6, 12]


def test_a_lag_equal_to_the_activation_does_not_wake_it() -> None:
    scaled_object = replace(SPIKE, activation=5)
    assert path(scaled_object, [5, 5, 6], replicas=0, every_s=5) == [0, 0, 1]


def test_keda_wakes_to_the_minimum() -> None:
    assert path(replace(SPIKE, min_replicas=3), [1], replicas=0) == [3]


def test_keda_restores_the_minimum_although_nothing_waits() -> None:
    assert path(replace(SPIKE, min_replicas=3), [0], replicas=0) == [3]


def test_the_hpa_takes_over_after_keda_has_left_zero() -> None:
    assert path(SPIKE, [40, 40, 40], replicas=0) == [1, 5, 10]


def test_zero_is_reached_only_after_the_cooldown_since_the_last_activity() -> None:
    found = path(SPIKE, [1] + [0] * 14, replicas=1, every_s=5)
    assert found == [1] * 13 + [0] * 2


def test_the_cooldown_begins_again_with_each_activity() -> None:
    found = path(SPIKE, [1] + [0] * 11 + [1] + [0] * 14, replicas=1, every_s=5)
    assert found.index(0) == 25


def test_what_never_was_active_waits_for_the_initial_cooldown_only() -> None:
    assert path(SPIKE, [0, 0], replicas=1, every_s=5) == [1, 0]
    assert path(replace(SPIKE, initial_cooldown_s=12), [0] * 5, replicas=1, every_s=5) == [1, 1, 1, 0, 0]


def test_the_idle_count_stands_while_nothing_waits() -> None:
    scaled_object = replace(SPIKE, min_replicas=2, idle_replicas=0)
    assert path(scaled_object, [1] + [0] * 13 + [1], replicas=0, every_s=5) == [2] * 13 + [0, 2]


def test_the_hpa_never_leaves_the_bounds() -> None:
    scaled_object = replace(SPIKE, min_replicas=2, max_replicas=6)
    assert path(scaled_object, [1_000, 1_000], replicas=9)[0] == 6
    assert path(scaled_object, [1_000] * 3, replicas=2) == [6, 6, 6]
    assert path(scaled_object, [0], replicas=1) == [2]


@pytest.mark.parametrize(("minimum", "least"), [(0, 1), (1, 1), (3, 3)])
def test_the_hpa_stops_at_the_minimum_and_never_at_zero(minimum: int, least: int) -> None:
    at_once = Behavior(up=DEFAULT_UP, down=replace(DEFAULT_DOWN, window_s=0))
    scaled_object = replace(SPIKE, min_replicas=minimum, cooldown_s=600, behavior=at_once)
    assert path(scaled_object, [32, 0, 0, 0], replicas=8) == [8, least, least, least]


@pytest.mark.parametrize(
    ("behavior", "replicas", "result"),
    [
        (FallbackBehavior.STATIC, 2, 4),
        (FallbackBehavior.CURRENT, 2, 2),
        (FallbackBehavior.CURRENT_IF_HIGHER, 2, 4),
        (FallbackBehavior.CURRENT_IF_HIGHER, 6, 6),
        (FallbackBehavior.CURRENT_IF_LOWER, 2, 2),
    ],
)
def test_an_unreadable_metric_keeps_the_count_until_the_fallback_speaks(
    behavior: FallbackBehavior, replicas: int, result: int
) -> None:
    scaled_object = replace(SPIKE, fallback=Fallback(failure_threshold=2, replicas=4, behavior=behavior))
    lag = replicas * 4
    found = path(scaled_object, [lag, None, None, None, None], replicas=replicas)
    assert found == [replicas, replicas, replicas, result, result]


def test_only_errors_in_a_row_and_not_those_at_zero_bring_the_fallback() -> None:
    scaled_object = replace(SPIKE, fallback=Fallback(failure_threshold=2, replicas=6))
    assert path(scaled_object, [4, None, None, 4, None, None], replicas=1) == [1] * 6
    assert path(scaled_object, [None] * 4 + [4, None], replicas=0) == [0, 0, 0, 0, 1, 1]


def test_an_error_neither_wakes_nor_stops_unless_the_fallback_is_zero() -> None:
    waits = replace(SPIKE, fallback=Fallback(failure_threshold=3, replicas=1))
    assert path(waits, [None] * 4, replicas=0) == [0] * 4
    assert path(replace(SPIKE, fallback=None), [1] + [None] * 20, replicas=1, every_s=5)[-1] == 1
    zero = replace(SPIKE, fallback=Fallback(failure_threshold=3, replicas=0))
    assert path(zero, [1] + [None] * 13, replicas=1, every_s=5)[-1] == 0


def test_the_hpa_reads_what_keda_polled_when_metrics_are_cached() -> None:
    slow = replace(SPIKE, polling_interval_s=30)
    assert path(slow, [4, 400, 400], replicas=1) == [1, 1, 5]
    assert path(replace(slow, cached_metrics=False), [4, 400, 400], replicas=1) == [1, 5, 10]


def test_a_step_between_two_looks_changes_nothing_and_says_when_to_come_again() -> None:
    autoscaler = Autoscaler(SPIKE, sync_offset_s=0)
    first = autoscaler.step(100.0, 4, 1)
    assert autoscaler.next_s == 105.0
    assert not autoscaler.reads_at(104.9)
    assert autoscaler.step(104.9, 4_000, 1) == first
    assert autoscaler.reads_at(105.0)


def test_a_decision_says_why_and_since_when() -> None:
    autoscaler = Autoscaler(SPIKE, sync_offset_s=0)
    autoscaler.step(0.0, 4, 1)
    grown = autoscaler.step(15.0, 60, 1)
    assert (grown.desired, grown.metric, grown.since_s) == (5, 60, 15.0)
    assert grown.reason == "ceil(60 / 4) = 15, 5 by the policy"
    later = autoscaler.step(20.0, 60, 5)
    assert (later.desired, later.since_s, later.reason) == (5, 15.0, "60 > 0: active")


@pytest.mark.parametrize(
    ("text", "value"),
    [("fresh + bulk", 7.0), ("fresh + 0.5 * bulk", 5.0), ("max(fresh, bulk, 2)", 4.0), ("-fresh", -3.0)],
)
def test_a_formula_adds_weighs_and_compares_triggers(text: str, value: float) -> None:
    assert Formula(text).value({"fresh": 3, "bulk": 4}) == value


def test_what_the_formula_makes_is_kept_in_thousandths() -> None:
    assert replace(SPIKE, formula=Formula("fresh / 3")).metric({"fresh": 2}) == 0.666


@pytest.mark.parametrize(
    "text", ["fresh +", "fresh ** 9", "__import__('os')", "fresh if bulk else 1", "open(fresh)", "True"]
)
def test_a_formula_that_is_not_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        Formula(text)


@given(
    lags=st.lists(st.one_of(st.none(), st.integers(0, 5_000)), min_size=1, max_size=40),
    replicas=st.integers(0, 30),
    minimum=st.integers(0, 4),
    behavior=st.sampled_from([None, DEFAULT_BEHAVIOR]),
)
def test_a_path_stays_within_its_bounds_and_grows_no_faster_than_the_policy(
    lags: list[float | None], replicas: int, minimum: int, behavior: Behavior | None
) -> None:
    scaled_object = replace(SPIKE, min_replicas=minimum, max_replicas=30, behavior=behavior)
    before = replicas
    for after in path(scaled_object, lags, replicas=replicas):
        assert 0 <= after <= 30
        assert after <= max(2 * before, before + 4, minimum)
        before = after


@given(lag=st.integers(1, 500), replicas=st.integers(1, 30))
def test_a_steady_lag_settles_and_then_stays(lag: int, replicas: int) -> None:
    scaled_object = replace(SPIKE, max_replicas=200)
    found = path(scaled_object, [lag] * 60, replicas=replicas)
    assert len(set(found[-20:])) == 1
    assert 0.9 * 4 * found[-1] <= lag + 4
    assert lag <= 1.1 * 4 * found[-1]


@given(lags=st.lists(st.integers(1, 100), min_size=1, max_size=30), replicas=st.integers(1, 30))
def test_it_never_goes_to_zero_while_something_waits(lags: list[float | None], replicas: int) -> None:
    assert 0 not in path(SPIKE, lags, replicas=replicas)
