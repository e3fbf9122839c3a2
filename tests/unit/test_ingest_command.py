import json
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


@pytest.mark.parametrize(
    "arguments", [["some/folder"], ["--include", "*.md", "some/folder"], ["folder", "some"]]
)
def test_a_path_alone_is_a_folder(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(*arguments, "--state-dir", str(tmp_path)) == 2
    assert "No stack runs on" in capsys.readouterr().err
