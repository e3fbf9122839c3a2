"""Recorded runs of the local stack, real but for engine, node and model, are predicted within 15 %."""

from dataclasses import replace
from pathlib import Path

import pytest

from askfleet.scaling import read_scaled_object
from askfleet.scaling.record import Timeline, Verdict, read_timeline, write_timeline
from askfleet.simulation.recorded import LIMIT, compare, process_starts_s
from askfleet.spike_page import PAGE, page
from contracts.errors import Misconfigured

ROOT = Path(__file__).parents[2]
SHIPPED = read_scaled_object(ROOT / "deploy/keda/base/scaledobjects/generation-default.yaml")
KEPT = Path(__file__).with_name("recorded-spike.jsonl")
"""A run of `python -m askfleet.spike` on a busy machine, whose processes took twice as long to start."""
RECORDS = (KEPT, ROOT / "docs/images/scaling-spike.jsonl")


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.name)
def test_waits_and_replicas_of_a_recorded_run_are_predicted(path: Path) -> None:
    found = compare(read_timeline(path), SHIPPED)
    assert found.wait_p95_s.error <= LIMIT
    assert found.path_error <= LIMIT
    assert found.most_ready.error == 0
    assert found.replica_s.error <= LIMIT
    assert found.keeps()


def test_another_rule_or_a_shorter_cold_start_would_not_fit_the_record() -> None:
    timeline = read_timeline(KEPT)
    assert not compare(timeline, replace(SHIPPED, target_value=200.0)).keeps()
    faster = timeline.run.model_copy(update={"node_s": 0.0, "model_s": 0.0})
    assert not compare(Timeline(faster, timeline.lines[1:]), SHIPPED).keeps()


def test_a_record_without_questions_is_refused() -> None:
    timeline = read_timeline(KEPT)
    with pytest.raises(Misconfigured, match="holds no question"):
        compare(Timeline(timeline.run, [*timeline.looks, *timeline.replicas]), SHIPPED)


def test_the_page_tells_what_the_records_hold() -> None:
    """Refresh with `python -m askfleet.spike_page`."""
    written = PAGE.read_text()
    assert page(written) == written
    assert "not kept | not kept | not kept | 3 | 47 to 72 s | 173 s | 322 s |" in written, (
        "of the kept record"
    )
    assert page(written.replace("173 s | 322 s", "134 s | 222 s")) == written


def test_the_verdict_of_the_oracle_stays_with_the_record(tmp_path: Path) -> None:
    verdict = Verdict(asked=278, done=277, lost=1, broken_promises=1)
    timeline, path = read_timeline(KEPT), tmp_path / "record.jsonl"
    assert timeline.verdict is None
    write_timeline(path, [*timeline.lines, verdict])
    again = read_timeline(path)
    assert again.verdict == verdict
    assert again.lines == (*timeline.lines, verdict)


def test_each_start_of_a_process_is_told_apart_from_the_delays_before_it() -> None:
    timeline = read_timeline(KEPT)
    assert [round(start) for start in process_starts_s(timeline, SHIPPED.name)] == [72, 50, 47]
    assert process_starts_s(timeline, "nobody") == []
