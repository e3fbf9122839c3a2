"""`askfleet tune` with real engines, each point in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from askfleet.main import main
from askfleet.tuning.evidence import with_passages
from askfleet.tuning.questions import Question
from askfleet.tuning.sweep import Point
from askfleet.tuning.trial import Bench, Tried, try_point

MILL = {"title": "Mill", "text": "The mill on the Aln was built by Peter Crane in 1807. It has two wheels."}
SET = [
    {
        "id": "mill",
        "question": "Who built the mill on the Aln?",
        "answers": ["Peter Crane"],
        "passages": [MILL],
    },
    {"id": "mayor", "question": "Who is the mayor of Quito?", "answers": [], "passages": [MILL]},
]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in SET))
    return path


def tuned(questions: Path, out: Path, *arguments: str) -> int:
    given = ["tune", "--questions", str(questions), "--out", str(out), *arguments]
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_sweep_measures_each_point_once_and_recommends_the_quickest(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    sweep = ("--set", "kind=simulated", "--set", "simulated_interval_ms=1", "--vary")
    assert tuned(questions, out, *sweep, "simulated_first_token_ms=400,5") == 0
    said = capsys.readouterr().out
    assert "[2/2] simulated_first_token_ms=5: 2 of 2 right" in said
    assert "recommended: simulated_first_token_ms=5\n" in said
    figures = [json.loads(line)["figures"] for line in (out / "results.jsonl").read_text().splitlines()]
    assert 400 <= figures[0]["first_ms"] < 2_000
    assert 5 <= figures[1]["first_ms"] < 300
    assert all(0.5 <= one["token_ms"] < 50 and 20 < one["memory_mib"] < 1_000 for one in figures)
    assert (out / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "| 5 | 2 of 2 | 1 |" in (out / "table.md").read_text()

    assert tuned(questions, out, *sweep, "simulated_first_token_ms=400,5,6", "--min-quality", "1") == 0
    said = capsys.readouterr().out
    assert "2 of 3 points stand in the results already" in said
    assert "[1/1] simulated_first_token_ms=6" in said
    assert tuned(questions, out, *sweep, "simulated_first_token_ms=400", "--first-token-ms", "100") == 1
    assert "recommended: none" in capsys.readouterr().out


def test_a_point_that_takes_too_long_is_a_result_and_leaves_no_process(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    slow = ("--set", "kind=simulated", "--vary", "simulated_first_token_ms=60000", "--seconds", "3")
    assert tuned(questions, out, *slow) == 1
    assert "Not done within 3 s: 0 of 2 questions answered" in capsys.readouterr().out
    assert not [p for p in psutil.Process(os.getpid()).children() if "measurement" in " ".join(p.cmdline())]
    assert tuned(questions, out, *slow) == 1
    said = capsys.readouterr().out
    assert "[1/1]" not in said
    assert "1 of 1 points stand in the results already; 1 without figures: --again tries once more" in said
    assert "raise --seconds" in said
    assert "first token" not in said, "a table without a line"
    assert tuned(questions, out, *slow, "--again") == 1
    assert "[1/1]" in capsys.readouterr().out


def test_llama_cpp_is_measured_and_a_missing_model_is_a_row_of_its_own(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    settings = ("--set", "answer_style=write", "--set", "max_tokens=8", "--set", "context_tokens=512")
    missing = tmp_path / "none.gguf"
    assert tuned(questions, tmp_path / "out", *settings, "--vary", f"model_path={missing},default") == 0
    said = capsys.readouterr().out
    assert f"without figures: model_path={missing}: The model file '{missing}' does not exist." in said
    assert "recommended: model_path=default" in said
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    figures = rows[1]["figures"]
    assert figures["first_ms"] > 1
    assert figures["token_ms"] > 0.1
    assert figures["memory_mib"] > 100
    assert 60 < figures["prompt_tokens"] < 512


def interpreter(tmp_path: Path, script: str) -> str:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def tried(tmp_path: Path, script: str) -> Tried:
    bench = Bench([Question(id="1", question="Who?", passages=())], tmp_path / "points", limit_s=30)
    alien = Bench(bench.questions, bench.folder, python=interpreter(tmp_path, script), limit_s=30)
    return try_point(Point(), "key", alien, lambda done: None)


def test_a_process_that_is_killed_is_told_as_out_of_memory(tmp_path: Path):
    assert "most likely out of memory" in tried(tmp_path, "kill -KILL $$").reason


def test_a_process_that_dies_is_told_with_its_last_words(tmp_path: Path):
    assert tried(tmp_path, "echo first; echo no such device >&2; exit 3").reason == (
        "Died (status 3): no such device"
    )


def test_what_several_errors_say_last_is_told_without_their_frame(tmp_path: Path):
    words = """printf '  | NameError: no such name\\n  +----------\\n'; exit 1"""
    assert tried(tmp_path, words).reason == "Died (status 1): NameError: no such name"


def test_an_interpreter_that_runs_no_point_is_told(tmp_path: Path):
    assert tried(tmp_path, "exit 0").reason == "Ended without a result (status 0): it said nothing"


def test_places_that_can_not_be_used_are_named_before_documents_are_searched(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    taken = tmp_path / "taken"
    taken.touch()
    unsearched = tmp_path / "unsearched.jsonl"
    unsearched.write_text('{"question": "Who?"}\n')
    none = ("--python", str(tmp_path / "python"), "--documents", str(tmp_path))
    assert tuned(unsearched, tmp_path / "out", *none) == 2
    assert f"There is no interpreter {tmp_path / 'python'}." in capsys.readouterr().err
    for out in (taken, taken / "below"):
        assert tuned(questions, out) == 2
        assert f"error: {out} can't be written to" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_ends_its_point_and_goes_on_where_it_was(
    questions: Path, tmp_path: Path, number: signal.Signals
):
    sweep = ["--vary", "simulated_first_token_ms=5,60000", "--set", "kind=simulated"]
    files = ["--questions", str(questions), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "askfleet.main", "tune", *files, *sweep]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert running.stdout is not None
        assert "[1/2]" in running.stdout.readline()
        point = _point_of(running.pid)
        running.send_signal(number)
        said, _ = running.communicate(timeout=20)
    finally:
        running.kill()
    assert running.returncode == 130
    assert "the same command goes on behind it" in " ".join(said.split())
    assert "Traceback" not in said
    assert not point.is_running()
    again = [*command[:-3], "simulated_first_token_ms=5", *command[-2:]]
    told = subprocess.run(again, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "1 of 1 points stand in the results already" in told


def _point_of(pid: int) -> psutil.Process:
    """The process that measures, once it is one."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children():
            if "askfleet.tuning.measurement" in child.cmdline() and "leash.py" not in " ".join(
                child.cmdline()
            ):
                return child
    raise AssertionError("no point was started")


async def test_passages_are_searched_as_the_retrieval_worker_does_and_kept(tmp_path: Path):
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "mill.md").write_text(f"# Mill\n\n{MILL['text']}\n")
    (documents / "bridge.md").write_text("# Bridge\n\nThe bridge has five arches.\n")
    asked = [Question(id="1", question="Who built the mill?", answers=("Peter Crane",))]
    out = tmp_path / "out"
    found = await with_passages(asked, documents, top_k=1, kept_in=out, console=Console(quiet=True))
    assert [passage.title for passage in found[0].passages or ()] == ["Mill"]
    kept = next(out.glob("evidence-*.jsonl"))
    kept.write_text(kept.read_text().replace("Crane", "Heron"))
    again = await with_passages(asked, documents, top_k=1, kept_in=out, console=Console(quiet=True))
    assert "Peter Heron" in (again[0].passages or ())[0].text
