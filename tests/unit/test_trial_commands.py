"""What the commands of trials refuse before they start anything."""

from pathlib import Path

import pytest

from askfleet.main import main


@pytest.mark.parametrize("command", ["chaos", "restart", "soak"])
@pytest.mark.parametrize("option", ["--url", "--nats-url"])
def test_a_trial_acts_on_a_stack_of_its_own_only(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = _refused(capsys, command, option, "http://ask.example.org")

    assert "only on a stack that it starts itself, not at http://ask.example.org" in error
    assert "askfleet load run" in error


def test_only_servers_that_can_be_missed_are_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    error = _refused(capsys, "chaos", "--outage", "bridge")

    assert "'bridge' can't be taken away" in error
    assert "postgres, milvus or engine" in error


def test_nothing_is_started_when_a_trial_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _refused(capsys, "chaos", "--folder", str(tmp_path / "trial"), "--outage", "sql")

    assert not (tmp_path / "trial").exists()


def _refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["load", *arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err
