"""`askfleet status --scaling` and the ranges of `askfleet up --scale`, without a stack."""

import os
import time
from pathlib import Path

import pytest

from askfleet.commands.up import LAPTOP, scaled
from askfleet.local.scaling import Bounds
from askfleet.local.state import StackRecord, StateFolder
from askfleet.main import main
from bus.scaling import ScalingReport, ScalingState
from contracts.errors import Misconfigured

GROWING = ScalingState(
    scaled_object="generation-default",
    worker="generation",
    metric=184,
    target_value=80,
    desired=3,
    ready=2,
    starting=1,
    least=0,
    most=4,
    reason="ceil(184 / 80) = 3",
    since=time.time() - 4,
)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    state = StateFolder(tmp_path)
    state.write_stack(
        StackRecord(
            pid=os.getpid(),
            bridge_urls=(),
            nats_url="",
            nats_monitor_url="",
            nats_keys=tmp_path,
            milvus_uri="",
            sql_dsn="",
            tenants_file=tmp_path / "tenants.yaml",
        )
    )
    return state


def status(state: StateFolder, *flags: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["status", "--scaling", "--state-dir", str(state.root), *flags])
    return int(ended.value.code or 0)


def shown(state: StateFolder, report: ScalingReport, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    state.scaling.write_text(report.model_dump_json())
    assert status(state, *flags) == 0
    return " ".join(capsys.readouterr().out.split())


def test_metric_desired_actual_and_why_are_shown(
    state: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shown(state, ScalingReport(at=0, speed=60, node_s=90, states=(GROWING,)), capsys)
    for part in ("184 80 3 2 (1 starting)", "0 to 4", "ceil(184 / 80) = 3"):
        assert part in out
    assert "60 times as fast" in out
    assert "simulated: 90 s for a node" in out


def test_an_unreadable_queue_is_said_with_its_problem(
    state: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    blind = GROWING.model_copy(update={"metric": None, "problem": "/jsz can't be read"})
    out = shown(state, ScalingReport(at=0, states=(blind,)), capsys)
    assert "unreadable" in out
    assert "problem /jsz can't be read" in out


def test_the_report_comes_as_json_too(state: StateFolder, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(state, ScalingReport(at=0, states=(GROWING,)), capsys, "--json")
    assert ScalingReport.model_validate_json(out).states == (GROWING,)


def test_a_stack_that_scales_nothing_says_how_to_begin(
    state: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(state) == 2
    assert "--scale generation=0:4" in capsys.readouterr().err


def test_generation_is_scaled_unless_its_number_is_given() -> None:
    assert scaled(None, {}) == {"generation": LAPTOP}
    assert scaled(None, {"generation": 2}) == {}
    assert scaled(None, {}, Path("theirs")) == {"generation": LAPTOP}
    assert scaled(["generation=0:4", "router=1:3"], {}) == {
        "generation": Bounds(0, 4),
        "router": Bounds(1, 3),
    }
    with pytest.raises(Misconfigured, match="'generation=4' is no range"):
        scaled(["generation=4"], {})
    with pytest.raises(Misconfigured, match="names generation twice"):
        scaled(["generation=1:2", "generation=0:4"], {})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scale", "Generation=0:4"), "no worker 'Generation'"),
        (("--scale", "generation=4:0"), "4:0 is no range"),
        (("--scale", "generation=0:0"), "0:0 is no range"),
        (("--scale", "generation=-1:4"), "'generation=-1:4' is no range"),
        (("--scale", "bridge=1:2"), "no ScaledObject of 'bridge'"),
        (("--scale", "router=1:2", "--no-scaling"), "say the opposite"),
        (("--scale", "router=1:2", "--workers", "router=2"), "router has a fixed number"),
        (("--scale", "router=1:2", "--scaled-objects", "nowhere"), "nowhere"),
        (("--scaling-record", "/proc/nobody/record.jsonl"), "/proc/nobody/record.jsonl can't be written"),
    ],
)
def test_what_can_not_be_scaled_is_said_before_anything_starts(
    state: StateFolder, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(("up", "--state-dir", str(state.root), *arguments))
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
