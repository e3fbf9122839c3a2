"""`askfleet eval retrieval` on two small corpora: our ingestion, embedder, Milvus Lite and ranking."""

import json
from pathlib import Path

import pytest
import structlog

from askfleet.main import main

CORPORA = {
    "boilers": (
        ("A safety valve protects the boiler from overpressure.", "What protects a boiler?"),
        ("The feed pump is serviced every six months.", "How often is the pump for feed water serviced?"),
        ("Error E4411 says that the burner found no flame.", "What does E4411 mean?"),
    ),
    "gardens": (
        ("Roses are pruned in March, before the leaves come.", "When does one cut roses?"),
        ("Tomatoes need six hours of sun each day.", "How much light do tomatoes want?"),
        ("Slugs are kept away by a ring of copper.", "Which metal do slugs avoid?"),
    ),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, pairs in CORPORA.items():
        folder = tmp_path / name
        folder.mkdir()
        passages = [{"id": f"{name}-{i}", "title": name, "text": text} for i, (text, _) in enumerate(pairs)]
        questions = [
            {"id": str(i), "question": question, "gold_ids": [f"{name}-{i}"], "answers": []}
            for i, (_, question) in enumerate(pairs)
        ]
        (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, passages)))
        (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, questions)))
    return tmp_path


def evaluate(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["eval", "retrieval", *arguments])
    structlog.reset_defaults()
    assert ended.value.code == 0


def test_right_passages_come_first_and_foreign_questions_are_told(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate("--data", str(data), "--json")
    report = json.loads(capsys.readouterr().out)
    assert list(report) == ["boilers", "gardens"]
    for figures in report.values():
        assert (figures["hit@1"], figures["hit@5"], figures["mrr"], figures["n"]) == (1.0, 1.0, 1.0, 3)
        assert figures["unanswerable"]["auc"] == 1.0
        assert figures["unanswerable"]["refused"] == 1.0


def test_the_ablation_stands_below_the_figures(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate("--data", str(data), "--ablation")
    shown = capsys.readouterr().out
    assert "boilers, asked of another corpus: AUC 1.0000" in shown
    assert shown.index("MRR 1.0000") < shown.index("reciprocal rank fusion")
