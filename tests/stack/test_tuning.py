"""`askfleet tune` with real engines, each point in a process of its own."""

import json
import os
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
    assert "[1/1]" not in capsys.readouterr().out
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
