"""What goes in and out of the simulator: arrivals, assumptions, the exported ScaledObject."""

from dataclasses import replace
from pathlib import Path

import pytest

from askfleet.local.scaling import Bounds, ScalingOptions
from askfleet.scaling import read_scaled_object
from askfleet.simulation.assumptions import assumed
from askfleet.simulation.comparison import (
    Bench,
    Grid,
    Objective,
    best,
    front,
    targets_above,
    targets_below,
)
from askfleet.simulation.demand import Lengths, constant, day, demand, with_spike
from askfleet.simulation.export import exported, write_export
from askfleet.simulation.loads import Made, Shape, load_of
from askfleet.simulation.outcome import Figures
from askfleet.simulation.recommendation import recommendation
from askfleet.simulation.trace_file import BadTrace, read_trace
from contracts.errors import Misconfigured

SHIPPED = Path(__file__).parents[2] / "deploy/keda/base/scaledobjects/generation-default.yaml"


def test_a_day_is_lowest_at_night_and_highest_at_its_peak() -> None:
    rates = day(20.0, night_share=0.1)
    assert rates.per_s.argmax() == 14 * 60
    assert rates.per_s.max() == pytest.approx(20.0)
    assert rates.per_s.min() == pytest.approx(2.0)
    assert rates.seconds == 86_400
    assert rates.shifted(3.0).per_s.argmax() == 17 * 60


def test_arrivals_follow_their_rates() -> None:
    rates = with_spike(constant(1.0, 60), at_minute=30, minutes=10, to=20.0)
    made = demand(rates, Lengths(), seed=1)
    within = ((made.at_s >= 1_800) & (made.at_s < 2_400)).sum()
    # Poisson: 12,000 and 3,000 expected; five standard deviations.
    assert abs(within - 12_000) < 5 * 12_000**0.5
    assert abs(len(made) - within - 3_000) < 5 * 3_000**0.5
    assert (made.at_s[1:] >= made.at_s[:-1]).all()
    assert made.answer_tokens.mean() == pytest.approx(200.0, rel=0.05)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "at,who\n130.5,x\n60,y\n61.25,z\n"),
        ("A.CSV", "\ufeffWho, At\r\n\"x\nx\",130.5\r\ny,60\r\nz,6125e-2\r\n"),
        ("a.csv", "at\n2026-11-23T10:02:10.5\n2026-11-23T10:01:00Z\n2026-11-23T12:01:01.25+02:00\n"),
        ("a.jsonl", '{"at": 130.5}\n{"at": 60}\n\n{"at": "61.25"}\n'),
        ("a.jsonl", '{"at": "2026-11-23T10:02:10.5+00:00"}\n{"at": "2026-11-23T10:01:00+00:00"}\n'
         '{"at": "2026-11-23T10:01:01.250Z"}\n'),
    ],
)  # fmt: skip
def test_times_of_questions_count_from_the_first_minute(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    trace = read_trace(path)
    assert trace.at_s is not None
    assert trace.at_s.tolist() == pytest.approx([0.0, 1.25, 70.5])
    assert (trace.rates.per_s * 60).tolist() == [2.0, 1.0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1, 2]", "is no object"),
        ('{"at": 1', "is no JSON"),
        ('{"at": true}', "True is neither seconds"),
        ('{"at": null}', "lacks 'at'"),
        ('{"at": [1]}', "[1] is neither seconds"),
    ],
)
def test_a_line_of_json_that_is_no_arrival_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"at": 1}}\n\n{line}\n')
    with pytest.raises(BadTrace) as refused:
        read_trace(path)
    assert f"{path}:3: " in refused.value.detail
    assert said in refused.value.detail


def test_rates_by_the_minute_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text("per_minute\n60\n120\n0\n")
    trace = read_trace(path)
    assert trace.at_s is None
    assert trace.rates.per_s.tolist() == [1.0, 2.0, 0.0]
    load = load_of(path, Made(Shape.DAY, 1.0, 24.0), Lengths(), seed=1)
    assert load.rates.seconds == 180.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no arrivals"),
        ("at\n", "holds no arrivals"),
        ("per_minute\n0\n0\n", "holds no arrivals: every rate is 0"),
        ("when\n1\n", "a.csv:2: needs either 'at' or 'per_minute', and has when"),
        ("at,per_minute\n1,2\n", "a.csv:2: needs either 'at' or 'per_minute', and has at, per_minute"),
        ("at\n1\nnoon\n", "a.csv:3: 'noon' is neither seconds nor a time of ISO 8601"),
        ("at\n-1\n", "a.csv:2: '-1' is no number of seconds"),
        ("at\n1\ninf\n", "a.csv:3: 'inf' is no number of seconds"),
        (
            "at\n5\n1790000000500\n",
            "a.csv:3: '1790000000500' is too late for seconds: are these milliseconds",
        ),
        ("per_minute\n5\nnan\n", "a.csv:3: 'nan'"),
        ("per_minute\n5\nmany\n", "a.csv:3: 'many' is no number"),
        ("per_minute\n1e15\n", "a.csv:2: '1e15' is no number of questions a minute"),
        ("at,x\n1,2\n,3\n", "a.csv:3: lacks 'at'"),
        ("x,at\n1\n", "a.csv:2: lacks 'at'"),
        ("at\n2026-13-01T00:00\n", "neither seconds nor a time of ISO 8601"),
        ("at\n0\n9999999\n", "more than 31"),
        ("at\n2026-11-23T10:00:00Z\n5\n", "20,780 days, more than 31: are all in one unit?"),
        ("per_minute\n" + "1\n" * 44_641, "more than 31"),
        ('at,text\n1,"never closed\n2,x\n', "is no CSV after line 1: unexpected end"),
        ("at,text\n1," + "x" * 200_000 + "\n", "is no CSV after line 1: field larger than"),
    ],
)
def test_arrivals_that_are_none_are_named_with_their_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(BadTrace) as refused:
        read_trace(path)
    assert said in refused.value.detail
    assert "per_minute" in refused.value.remedy


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"at": 1}\n[2]\n')
    with pytest.raises(BadTrace, match=r"a\.jsonl:2: '\[2\]' is no object"):
        read_trace(path)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("slots", "'slots'"),
        ("slot=3", "'slot=3'"),
        ("slots=many", "slots=many"),
        ("alone-s=0", "--set alone-s=0"),
    ],
)
def test_an_assumption_that_can_not_be_is_named(setting: str, said: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        assumed([setting])
    assert said in refused.value.detail


def test_assumptions_are_set_by_name() -> None:
    found = assumed(["slots=8", "full-s=0.09", "node_s=30"])
    assert (found.service.slots, found.service.full_s, found.provisioning.node_s) == (8, 0.09, 30.0)


def figures(name: str, hours: float, p95: float, p99: float = 0.0) -> Figures:
    return Figures(name, 1, hours, 0.0, p95, p99, p99, 0.0, 1.0, 0, 1, 0)


def test_the_cheapest_that_keeps_the_limits_is_chosen_and_the_front_holds_what_nothing_beats() -> None:
    rows = [figures("a", 10, 50), figures("b", 20, 8), figures("c", 30, 8), figures("d", 40, 1)]
    chosen = best(rows, Objective(wait_p95_s=10.0))
    assert chosen is not None
    assert chosen.name == "b"
    assert best(rows, Objective(wait_p95_s=0.5)) is None
    assert [row.name for row in front(rows)] == ["a", "b", "d"]


@pytest.mark.parametrize("slots", [1, 2, 16, 64, 500])
def test_targets_are_tried_above_the_slots_unless_lower_ones_are_asked_for(slots: int) -> None:
    above, below = targets_above(slots), targets_below(slots)
    assert above[0] == slots + 1
    assert sorted(set(above)) == list(above)
    assert all(1 <= target < slots for target in below)


def test_some_queue_is_borne_for_each_replica_by_every_target_that_is_tried() -> None:
    assert targets_above(64) == (65, 72, 80, 96)


def test_the_exported_scaled_object_differs_in_the_numbers_that_were_found_only(tmp_path: Path) -> None:
    shipped = read_scaled_object(SHIPPED)
    policy = Grid((72.0,), (2,), (0,), (900,)).policies(shipped)[0]
    assert policy.scaled_object is not None
    path = tmp_path / "new" / "generation-default.yaml"
    write_export(path, SHIPPED, policy.scaled_object, slots=64)
    assert read_scaled_object(path) == policy.scaled_object
    local = ScalingOptions(bounds={"generation": Bounds(0, 4)}, folder=path.parent).scaled_objects()
    assert local["generation"].target_value == 72.0, "as `askfleet up --scaled-objects` takes it"
    before, after = SHIPPED.read_text().splitlines(), path.read_text().splitlines()
    changed = {line.strip() for line in after} - {line.strip() for line in before}
    assert changed == {
        'askfleet.dev/queue-per-pod: "8"',
        "minReplicaCount: 2",
        'target: "72"',
        'lagThreshold: "72"',
        "stabilizationWindowSeconds: 900",
    }
    assert len(before) == len(after)


def test_a_file_without_the_lines_to_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("kind: ScaledObject\n")
    with pytest.raises(Misconfigured, match="has no line like"):
        exported(path, read_scaled_object(SHIPPED), slots=64)


def test_the_recommendation_keeps_its_limits_question_by_question() -> None:
    assumptions = assumed(["node-s=60", "model-s=30"])
    rates = with_spike(constant(4.0, 60), at_minute=20, minutes=4, to=14.0)
    load = load_of(None, Made(Shape.CONSTANT, 1.0, 1.0), assumptions.lengths, seed=1)
    bench = Bench(replace(load, rates=rates), assumptions.service, assumptions.provisioning)
    policies = Grid((48.0, 80.0), (0, 1, 2)).policies(read_scaled_object(SHIPPED))
    limits = Objective(wait_p95_s=5.0)
    told: list[str] = []
    found = recommendation(bench, policies, limits, 120.0, progress=lambda name, _: told.append(name))
    chosen = next(row for row in found.rows if row.name == found.chosen)
    assert chosen.name in found.followed
    assert limits.keeps(chosen)
    assert not all(limits.keeps(row) for row in found.rows)
    assert all(row.gpu_hours >= chosen.gpu_hours for row in found.rows if limits.keeps(row))
    assert told
    impossible = recommendation(
        bench, policies[:1], Objective(wait_p50_s=-1.0), 120.0, progress=lambda *_: None
    )
    assert impossible.policy is None
