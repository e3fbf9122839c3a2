from dataclasses import replace

import pytest

from askfleet.tuning.choice import MEASURES, Candidate, front, recommend
from askfleet.tuning.preference import Limits, Prefer
from askfleet.tuning.results import Figures


def candidate(
    label: str,
    *,
    right: int = 10,
    first_ms: float | None = 100.0,
    token_ms: float = 10.0,
    answers_per_s: float = 1.0,
    memory_mib: float = 100.0,
) -> Candidate:
    figures = Figures(
        questions=20,
        right=right,
        refused=0,
        broken=0,
        first_ms=first_ms,
        slow_first_ms=None if first_ms is None else 2 * first_ms,
        token_ms=token_ms,
        answers_per_s=answers_per_s,
        memory_mib=memory_mib,
    )
    return Candidate(label, figures)


def chosen(candidates: list[Candidate], prefer: Prefer, limits: Limits | None = None) -> str | None:
    place = recommend(candidates, prefer, limits or Limits()).chosen
    return None if place is None else candidates[place].label


QUICK = candidate("quick", right=9, first_ms=100, answers_per_s=1.0)
BUSY = candidate("busy", right=10, first_ms=300, answers_per_s=3.0)
GOOD = candidate("good", right=12, first_ms=900, answers_per_s=0.5)
POOR = candidate("poor", right=9, first_ms=900, answers_per_s=0.5, memory_mib=200)
THREE = [QUICK, BUSY, GOOD]


def test_the_front_leaves_out_only_what_another_point_beats():
    assert front([*THREE, POOR]) == [0, 1, 2]
    assert front([POOR]) == [0]
    assert front([]) == []


@pytest.mark.parametrize("number", range(len(MEASURES)))
def test_each_measure_alone_keeps_a_point_on_the_front(number: int):
    better = [
        candidate("quality", right=11),
        candidate("first", first_ms=50),
        candidate("token", token_ms=5),
        candidate("throughput", answers_per_s=2),
        candidate("memory", memory_mib=50),
    ]
    plain = candidate("plain")
    assert front([plain, better[number]]) == [1]
    others = [other for other in better if other is not better[number]]
    assert len(front([better[number], *others])) == len(MEASURES)


def test_a_difference_within_noise_keeps_no_point_on_the_front():
    worse = candidate("worse", first_ms=400, memory_mib=99.9)
    assert front([candidate("better"), worse]) == [0]


def test_without_a_first_token_a_point_is_the_slowest():
    silent = candidate("silent", first_ms=None)
    assert chosen([silent, GOOD], Prefer.LATENCY) == "good"
    assert chosen([silent, GOOD], Prefer.LATENCY, Limits(min_quality=0.1, first_ms=5_000)) == "good"


@pytest.mark.parametrize(
    ("prefer", "label"), [(Prefer.LATENCY, "quick"), (Prefer.THROUGHPUT, "busy"), (Prefer.QUALITY, "good")]
)
def test_the_preference_decides(prefer: Prefer, label: str):
    assert chosen(THREE, prefer) == label


@pytest.mark.parametrize(
    ("limits", "label"),
    [
        (Limits(min_quality=0.5), "busy"),
        (Limits(min_quality=0.55), "good"),
        (Limits(min_answers_per_s=2.0), "busy"),
        (Limits(first_ms=199.0), None),
        (Limits(first_ms=200.0), "quick"),
        (Limits(token_ms=9.0), None),
        (Limits(memory_mib=99.0), None),
    ],
)
def test_a_point_outside_of_a_limit_is_not_recommended(limits: Limits, label: str | None):
    assert chosen(THREE, Prefer.LATENCY, limits) == label


def test_what_is_surely_worse_than_the_best_is_out_without_a_stated_quality():
    quick_and_wrong = candidate("wrong", right=2, first_ms=10)
    assert chosen([quick_and_wrong, *THREE], Prefer.LATENCY) == "quick"
    assert chosen([quick_and_wrong, *THREE], Prefer.LATENCY, Limits(min_quality=0.0)) == "wrong"


def test_what_is_alike_within_noise_is_decided_by_the_next_measure():
    alike = candidate("alike", right=9, first_ms=103, token_ms=5)
    assert chosen([QUICK, alike], Prefer.LATENCY) == "alike"
    slower = candidate("slower", right=9, first_ms=107, token_ms=5)
    assert chosen([QUICK, slower], Prefer.LATENCY) == "quick"


def test_the_reasons_name_what_was_out_and_what_came_next():
    said = recommend([*THREE], Prefer.LATENCY, Limits(min_quality=0.5)).reasons
    assert said == (
        "Quality must reach 0.50, as stated.",
        "quick: out, quality 0.45 below 0.50.",
        "First token decides between 2 points: 300 ms to the first token; "
        "next is good with 900 ms to the first token.",
    )
    nothing = recommend(THREE, Prefer.LATENCY, Limits(memory_mib=1))
    assert nothing.chosen is None
    assert nothing.reasons[-1] == "No point keeps every limit; loosen one or sweep further."
    assert recommend([], Prefer.QUALITY, Limits()).reasons == (
        "No point gave figures: correct what each reason names, or raise --seconds, and add --again.",
    )


def test_quality_has_no_noise():
    better = replace(GOOD, figures=GOOD.figures.model_copy(update={"right": 13, "first_ms": 5_000.0}))
    assert chosen([GOOD, better], Prefer.QUALITY) == "good"
    assert recommend([GOOD, better], Prefer.QUALITY, Limits()).chosen == 1
