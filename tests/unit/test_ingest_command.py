import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from askfleet.main import main

ISSUES = {
    "issues": [{"id": "1", "key": "A-1", "fields": {"summary": "Mail jo@example.org", "labels": ["x"]}}]
}


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["ingest", *arguments])
    return int(ended.value.code or 0)


def test_a_dry_run_over_an_export_prints_one_object_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "issues.json"
    path.write_text(json.dumps(ISSUES))
    state = tmp_path / "state"
    assert run("jira", str(path), "--dry-run", "--json", "--state-dir", str(state)) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["complete"] is True
    assert shown["sent"]["indexed"] == 1
    assert shown["analysis"]["values"]["Labels"] == {"x": 1}
    assert shown["analysis"]["masked"] == {"email": 2}
    assert not state.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["jira", "nowhere", "--dry-run"], "nowhere is neither a file"),
        (["zendesk", "nowhere", "--dry-run", "--no-mask", "names"], "'names' is no rule"),
        (["jira", "https://", "--dry-run"], "no address of a service"),
        (["jira", "x", "--api", "4"], "--api 4"),
        (["zendesk", "x", "--dry-run", "--tenant", "../up"], "../up"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(*arguments, "--state-dir", str(tmp_path)) in (1, 2)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("before", [[], ["--include", "*.md"], ["folder"]])
def test_a_path_alone_is_a_folder(before: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(*before, str(tmp_path), "--state-dir", str(tmp_path)) == 2
    assert "No stack runs on" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_told_before_a_stack_is_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(str(tmp_path / "none"), "--state-dir", str(tmp_path)) == 2
    assert f"error: {tmp_path / 'none'} is neither a file nor a folder." in capsys.readouterr().err


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed here")
def test_without_ray_the_engine_ray_says_how_to_install_it_before_it_looks_for_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("--engine", "ray", str(tmp_path), "--state-dir", str(tmp_path)) == 2
    told = capsys.readouterr().err
    assert "needs Ray, which is not installed" in told
    assert "make ray" in told
