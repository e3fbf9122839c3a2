"""`askfleet simulate`: exit status, tables, JSON, files."""

import json
from pathlib import Path

import pytest

from askfleet.main import main

ROOT = Path(__file__).parents[2]


def simulate(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(("simulate", *arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code, *capsys.readouterr()


def test_policies_are_compared_on_the_same_arrivals(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plot = tmp_path / "costs.png"
    status, out, error = simulate(
        capsys, "compare", "--shape", "constant", "--peak", "3", "--hours", "0.3", "--target", "56",
        "--window", "300", "--window", "900", "--cpu", "80", "--static", "2", "--json", "--plot", str(plot),
    )  # fmt: skip
    found = json.loads(out)
    assert status == 0
    assert [row["name"] for row in found["rows"]] == [
        "queue, target 80, at least 0, window 300 s",
        "queue, target 80, at least 1, window 300 s",
        "queue, target 56, at least 1, window 300 s",
        "queue, target 56, at least 1, window 900 s",
        "CPU, 80 %",
        "static, 2",
    ]
    assert len({row["questions"] for row in found["rows"]}) == 1
    assert found["assumptions"]["slots"] == 64
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert str(plot) in error


def test_a_recommendation_is_exported_for_the_arrivals_of_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arrivals, export = tmp_path / "rates.csv", tmp_path / "generation.yaml"
    arrivals.write_text("per_minute\n" + "120\n" * 20)
    narrow = (
        "--arrivals",
        str(arrivals),
        "--target",
        "64",
        "--least",
        "0",
        "--least",
        "1",
        "--window",
        "300",
    )
    status, out, _ = simulate(capsys, "recommend", *narrow, "--export", str(export))
    assert status == 0
    assert "recommended" in out
    assert "minReplicaCount: 1" in export.read_text()
    status, out, error = simulate(capsys, "recommend", *narrow[:2], "--target", "56", "--below-slots")
    assert status == 0
    assert "56" in out
    assert "below the slots" in error
    status, out, _ = simulate(capsys, "recommend", *narrow[:-4], "--window", "300", "--p95-wait", "0")
    assert status == 1
    assert "None keeps the limits" in out


def test_a_run_and_a_fleet_show_their_figures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = simulate(
        capsys, "run", "--peak", "2", "--hours", "0.2", "--plot", str(tmp_path / "a.png")
    )
    assert status == 0
    assert "cold starts" in out
    topology = ROOT / "deploy/fleet/topology.yaml"
    status, out, _ = simulate(
        capsys, "fleet", "-f", str(topology), "--hours", "0.2", "--json", "--plot", str(tmp_path / "b.png")
    )
    assert status == 0
    assert [row["name"] for row in json.loads(out)["rows"]] == ["eu-west", "eu-central", "us-east", "all"]
    assert (tmp_path / "a.png").exists()
    assert (tmp_path / "b.png").exists()


def test_a_record_is_checked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    record = Path(__file__).with_name("recorded-spike.jsonl")
    status, out, _ = simulate(capsys, "check", str(record), "--plot", str(tmp_path / "check.png"))
    assert status == 0
    assert "within 15%" in out


def test_assumptions_are_listed_with_what_is_set(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = simulate(capsys, "assumptions", "--set", "slots=7")
    assert status == 0
    assert "keep-node-s" in out
    assert any(line.split()[:2] == ["slots", "7"] for line in out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--shape", "zigzag"), "'zigzag'"),
        (("compare", "--set", "speed=9"), "'speed=9'"),
        (("run", "--arrivals", "nowhere.csv"), "nowhere.csv"),
        (("check", "nowhere.jsonl"), "nowhere.jsonl"),
        (("run", "--scaled-object", "nowhere.yaml"), "nowhere.yaml"),
        (("fleet", "--clusters", "10", "--gpus", "3"), "3 GPUs in 10 clusters"),
        (("run", "--target", "0"), "equal to 1"),
        (("run", "--peak", "inf"), "less than or equal to"),
        (("fleet", "--shift", "nan"), "equal to"),
        (("compare", "--set", "answer-tokens=inf"), "--set answer-tokens=inf"),
        (("recommend", "--target", "80", "--target", "56"), "--target 56 is below the 64 slots"),
        (("recommend", "--set", "slots=128", "--target", "80"), "--target 80 is below the 128 slots"),
        (("recommend", "--window", "3601"), "3600"),
        (("run", "--plot", "/proc/nobody/plot.png"), "/proc/nobody/plot.png can't be written"),
        (("recommend", "--export", str(Path(__file__).parent)), "can't be written: Is a directory"),
    ],
)
def test_bad_input_ends_with_a_word_about_it(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    status, out, error = simulate(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert said in error


def test_where_plots_go_is_tried_before_the_simulation_and_leaves_no_empty_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plot = tmp_path / "new" / "plot.png"
    status, _, error = simulate(capsys, "run", "--plot", str(plot), "--shape", "zigzag")
    assert status == 2
    assert "'zigzag'" in error
    assert not plot.exists()
