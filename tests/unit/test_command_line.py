from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog

from askfleet.commands.up import replicas
from askfleet.main import COMMANDS, application, main
from contracts.errors import Misconfigured


class Outcome(NamedTuple):
    status: int
    out: str
    error: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    def askfleet(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, *capsys.readouterr())

    yield askfleet
    structlog.reset_defaults()


def test_help_lists_every_command(run: Run):
    shown = run("--help").out
    assert all(f" {name} " in shown for name in COMMANDS)


def test_the_version_is_that_of_the_installed_package(run: Run):
    assert run("--version").out == f"askfleet {version('askfleet')}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_shows_an_example(run: Run, name: str):
    lines = [line.strip() for line in run(name, "--help").out.splitlines()]
    assert [line for line in lines if line == f"askfleet {name}" or line.startswith(f"askfleet {name} ")]


def test_without_a_running_stack_a_command_says_how_to_start_one(run: Run, tmp_path: Path):
    done = run("ask", "How are you?", "--state-dir", str(tmp_path))
    assert done.status == 2
    assert done.out == ""
    assert done.error == (
        f"error: No stack runs on {tmp_path}.\n"
        "remedy: Start one with `askfleet up`, or name its folder with --state-dir or AF_STATE_DIR.\n"
    )


def test_a_key_that_is_not_kept_here_must_be_given(run: Run, tmp_path: Path):
    done = run(
        "ask", "Hello?", "--url", "http://127.0.0.1:1", "--tenant", "acme", "--state-dir", str(tmp_path)
    )
    assert done.status == 2
    assert "'acme'" in done.error
    assert "--key" in done.error


def test_a_bridge_that_can_not_be_reached_is_an_error_that_names_it(run: Run):
    done = run("ask", "Hello?", "--url", "http://127.0.0.1:1", "--key", "k")
    assert done.status == 1
    assert "http://127.0.0.1:1" in done.error


def test_an_unknown_command_is_refused(run: Run):
    done = run("explain")
    assert done.status == 2
    assert "explain" in done.error


@pytest.mark.parametrize("value", ["generation", "generation=", "generation=-1", "generation=two"])
def test_a_number_of_workers_that_is_none_is_refused(value: str):
    with pytest.raises(Misconfigured, match=value):
        replicas([value])


def test_numbers_of_workers_are_read_by_name():
    assert replicas(["generation=2", "bridge=3"]) == {"generation": 2, "bridge": 3}


def test_one_command_alone_stays_a_command_of_the_program():
    assert application("cancel").registered_commands[0].name == "cancel"


@pytest.mark.parametrize(
    ("arguments", "said", "remedy"),
    [
        (["ask", "Hi?", "--url", "here", "--key", "k"], "'here' is no address of a bridge", "http://"),
        (["router", "train", "--examples", "none.jsonl"], "none.jsonl can't be read", "Check the path"),
        (["router", "train", "--output", "file/model"], "file can't be written to", "--output"),
        (["router", "train", "--output", "."], ". is a folder", "--output"),
        (["router", "synth", "--output", "file/lines"], "file can't be written to", "--output"),
        (["router", "shadow", "file"], "are not a skops file", "askfleet router train"),
        (["load", "run", "none.yaml"], "none.yaml can't be read", "Check the file"),
        (["load", "run", "bad.yaml"], "bad.yaml can't be read: while parsing", "Check the file"),
        (["load", "run", "--json", "file/run.json"], "file can't be written to", "--json"),
        (["load", "soak", "--json", "file/run.json"], "file can't be written to", "--json"),
        (["load", "report", "none.json"], "none.json can't be read", "Check the file"),
    ],
)
def test_what_is_wrong_with_what_was_named_is_told_before_a_stack_is_looked_for(
    arguments: list[str], said: str, remedy: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no model")
    (tmp_path / "bad.yaml").write_text("a: [\n")
    done = run(*arguments)
    assert done.status in (1, 2)
    first, second = done.error.splitlines()
    assert said in first
    assert remedy in second
    assert not (tmp_path / "file").is_dir()


def test_what_is_set_as_in_the_environment_is_not_varied_by_default(run: Run):
    done = run("tune", "--dry-run", "--set", "AF_PROMPT_TOKENS=300")
    assert done.status == 0, done.error
    assert "2 points" in done.out
    assert "the same everywhere: prompt_tokens=300" in done.out


def test_a_server_that_is_not_there_is_told_once_and_then_as_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AF_CONNECT_TIMEOUT_S", "2.5")
    done = run("status", "--nats-url", "nats://127.0.0.1:1")
    assert done.status == 2
    assert done.error.count("NATS reported an error") == 1
    assert "error: No NATS server at nats://127.0.0.1:1 within 2.5 s" in done.error
