import itertools
import math
import random
import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from contracts import Route
from contracts.errors import Misconfigured
from loadgen.arrivals import Profile, due_times, rate_at, wanted_rate
from loadgen.mix import open_loop
from loadgen.observed import Door, Habit
from loadgen.reading import Reading, tokens_of
from loadgen.scenario import (
    Closed,
    Constant,
    DoorShares,
    Habits,
    Poisson,
    Questions,
    Ramp,
    Replay,
    Scenario,
    Spike,
    TenantShare,
    checked,
    read_scenario,
)
from loadgen.sse import Frames
from loadgen.tally import Tally
from loadgen.trace import read_trace


def times(arrivals: Profile, seconds: float, seed: int = 1) -> list[float]:
    return list(due_times(arrivals, seconds, random.Random(seed)))


def within(found: list[float], begin: float, end: float) -> int:
    return sum(begin <= at < end for at in found)


def test_a_constant_rate_is_evenly_spaced_from_the_start_on():
    assert times(Constant(rate=4), 2) == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]


def test_poisson_arrivals_have_the_mean_and_the_spread_of_independent_clients():
    gaps = [after - before for before, after in itertools.pairwise(times(Poisson(rate=50), 400))]

    mean = math.fsum(gaps) / len(gaps)
    deviation = math.sqrt(math.fsum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert mean == pytest.approx(1 / 50, rel=0.03)
    assert deviation == pytest.approx(mean, rel=0.05)


def test_a_ramp_grows_evenly_and_sends_the_area_under_its_line():
    found = times(Ramp(rate=0, to=20, even=True), 60)

    assert len(found) == 600
    assert within(found, 0, 30) == 150
    assert found == sorted(found)
    assert found[-1] < 60


def test_a_falling_ramp_ends_in_silence():
    found = times(Ramp(rate=20, to=0, even=True), 60)
    assert (within(found, 0, 30), within(found, 30, 60)) == (450, 150)


def test_a_spike_has_its_rate_in_its_time_only():
    found = times(Spike(rate=10, to=200, at_s=20, for_s=5, even=True), 60)
    assert (within(found, 0, 20), within(found, 20, 25), within(found, 25, 60)) == (200, 1000, 350)


def test_a_spike_that_begins_after_the_end_is_none():
    assert len(times(Spike(rate=10, to=200, at_s=90, for_s=5, even=True), 60)) == 600


def test_without_a_rate_nothing_is_due():
    assert times(Ramp(rate=0, to=0), 10) == []


@pytest.mark.parametrize("arrivals", [Poisson(rate=30), Ramp(rate=1, to=50), Spike(rate=5, to=80)])
def test_the_same_seed_gives_the_same_run_and_another_seed_another(arrivals: Profile):
    def plan(seed: int) -> list[tuple[float, str, str]]:
        dues = open_loop(Scenario(arrivals=arrivals, seed=seed))
        return [(due.at_s, due.order.question, due.order.habit) for due in dues]

    assert plan(3) == plan(3)
    assert plan(3) != plan(4)


def test_a_second_run_of_a_scenario_asks_under_new_ids():
    first, second = (next(open_loop(Scenario())).order.query_id for _ in range(2))
    assert first != second


def test_the_wanted_rate_follows_the_profile():
    assert rate_at(Ramp(rate=0, to=20), 10, 5) == 10
    assert [rate_at(Spike(rate=1, to=9, at_s=2, for_s=2), 10, t) for t in (1, 3, 5, 11)] == [1, 9, 1, 0]
    assert wanted_rate(Scenario(arrivals=Closed()), 1) == 0


def test_questions_tenants_doors_and_habits_come_by_their_shares():
    planned = Scenario(
        seconds=100,
        arrivals=Constant(rate=100),
        questions=(
            Questions(weight=3, about=Route.SQL, route=Route.SQL),
            Questions(weight=1, texts=("Hello?",)),
        ),
        tenants=(TenantShare(name="big", share=9), TenantShare(name="small", share=1)),
        doors=DoorShares(http=1, nats=1),
        clients=Habits(cancel=0.05, resume=0.10),
    )
    orders = [due.order for due in open_loop(planned)]

    def share(count: int) -> float:
        return count / len(orders)

    assert share(sum(order.route is Route.SQL for order in orders)) == pytest.approx(0.75, abs=0.03)
    assert share(sum(order.question == "Hello?" for order in orders)) == pytest.approx(0.25, abs=0.03)
    assert share(sum(order.tenant == "small" for order in orders)) == pytest.approx(0.1, abs=0.02)
    assert share(sum(order.door is Door.NATS for order in orders)) == pytest.approx(0.5, abs=0.03)
    assert share(sum(order.habit is Habit.CANCEL for order in orders)) == pytest.approx(0.05, abs=0.02)
    assert share(sum(order.habit is Habit.LEAVE for order in orders)) == pytest.approx(0.1, abs=0.02)


def test_a_trace_is_replayed_at_its_times_with_what_it_recorded(tmp_path: Path):
    trace = tmp_path / "trace.jsonl"
    trace.write_text(
        '{"at_s": 4, "question": "Second?", "route": "sql", "tenant": "acme"}\n\n{"at_s": 1, "user": "x"}\n'
    )
    planned = Scenario(arrivals=Replay(file=trace, speed=2), questions=(Questions(texts=("Mixed?",)),))

    first, second = open_loop(planned)

    assert (first.at_s, first.order.question, first.order.tenant) == (0.5, "Mixed?", "demo")
    assert (second.at_s, second.order.question, second.order.tenant) == (2.0, "Second?", "acme")
    assert second.order.route is Route.SQL


def test_a_trace_may_be_csv(tmp_path: Path):
    trace = tmp_path / "trace.csv"
    trace.write_text('question,at_s,route\n"One, two?",0.5,\nThree?,0.25,documents\n')

    assert [(each.at_s, each.question, each.route) for each in read_trace(trace)] == [
        (0.25, "Three?", Route.DOCUMENTS),
        (0.5, "One, two?", None),
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"at_s": 1}\n{"at_s": -2}', "line 2: at_s"),
        ("at_s,route\n1,nowhere", "line 2: route"),
        ('{"at_s": 1', "line 1"),
        ("", "empty"),
    ],
)
def test_a_wrong_trace_is_refused_with_its_line(tmp_path: Path, text: str, shown: str):
    trace = tmp_path / "trace"
    trace.write_text(text)
    with pytest.raises(Misconfigured, match=shown):
        read_trace(trace)


def test_a_scenario_is_read_from_yaml_with_files_beside_it(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("# a comment\nWhy?\n\n  How?  \n")
    file = tmp_path / "scenario.yaml"
    file.write_text(
        "seconds: 5\narrivals: {kind: spike, rate: 2, to: 30}\n"
        "questions: [{file: mine.txt}]\ntenants: [{name: acme, key: secret}]\n"
    )
    planned = read_scenario(file)

    assert planned.arrivals == Spike(rate=2, to=30)
    assert {due.order.question for due in open_loop(planned)} == {"Why?", "How?"}
    assert "secret" not in planned.model_dump_json()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"secondz": 1}, "secondz"),
        ({"arrivals": {"kind": "wave"}}, "wave"),
        ({"arrivals": {"kind": "poisson", "rate": -1}}, "rate"),
        ({"clients": {"cancel": 0.6, "slow": 0.6}}, "together at most 1"),
        ({"tenants": [{"name": "a.b"}]}, "a.b"),
        ({"tenants": [{"name": "a", "share": 0}]}, "needs a share"),
        ({"doors": {"http": 0}}, "needs a share"),
        ({"questions": []}, "questions"),
    ],
)
def test_a_wrong_scenario_is_refused_with_the_field(given: object, shown: str):
    with pytest.raises(Misconfigured, match=shown):
        checked(given, "test")


def test_a_file_without_a_question_is_refused(tmp_path: Path):
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n")
    with pytest.raises(Misconfigured, match="no question"):
        next(open_loop(Scenario(questions=(Questions(file=empty),))))


def test_a_stream_is_cut_into_events_wherever_its_bytes_are_split():
    first = b': hello\n\nid: 1\nevent: delta\ndata: {"a": "b: c"}\n\n'
    stream = first + b"retry: 700\n\nid: 2\nevent: done\ndata: {}\n\n"
    whole = list(Frames().feed(stream))
    for size in (1, 2, 7, 30):
        cutting = Frames()
        parts = [stream[begin : begin + size] for begin in range(0, len(stream), size)]
        assert [block for part in parts for block in cutting.feed(part)] == whole
    assert [(block.id, block.event, block.data, block.retry_ms) for block in whole] == [
        (1, "delta", b'{"a": "b: c"}', 0),
        (0, "message", b"", 700),
        (2, "done", b"{}", 0),
    ]


def test_a_repeated_event_counts_once_and_is_kept_for_the_judge():
    reading = Reading(Tally())
    for index in (1, 2, 2, 3):
        reading.add(1.0, index, "delta", b'{"index":1,"type":"delta","text":"a \\"tokens\\":9","tokens":4}')

    assert reading.tokens == 12
    assert [event.id for event in reading.seen] == [1, 2, 2, 3]


def test_the_tokens_of_a_delta_are_those_of_its_last_field():
    assert tokens_of(b'{"type":"delta","text":"\\"tokens\\":7","tokens":3}') == 3
    assert tokens_of(b'{"type":"delta","text":"x"}') == 1


PAGE = Path(__file__).parents[2] / "docs" / "load-testing.md"


def test_the_scenario_of_the_documentation_is_one():
    shown = PAGE.read_text().split("```yaml\n")[1].split("```")[0]
    found = checked(yaml.safe_load(shown), "the page")
    assert found.arrivals == Spike(rate=10, to=80, at_s=60, for_s=30)


@pytest.mark.parametrize(
    "part",
    [Scenario, Habits, Questions, TenantShare, DoorShares, Ramp, Spike, Replay, Closed, Poisson, Constant],
)
def test_each_field_of_a_scenario_is_documented(part: type[BaseModel]):
    page = PAGE.read_text()
    assert [name for name in part.model_fields if not re.search(rf"\b{name}\b", page)] == []
