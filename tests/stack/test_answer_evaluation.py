"""`askfleet eval answers` on two small corpora of ours."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from askfleet.main import main

RIVERS = {
    "aln": "The mill on the river Aln was built by Peter Crane in 1807. It burned down in 1922.",
    "tarn": "The bridge over the river Tarn has five arches. Anna Berg drew the plans for it.",
}
OFFICE = {
    "leave": "Every employee has thirty days of paid leave. Requests go to the personnel office.",
    "travel": "Train tickets are refunded within two weeks after the receipt is handed in.",
}
QUESTIONS = {
    "rivers": (("Who built the mill on the Aln?", "aln", "Peter Crane"),),
    "office": (("How many days of paid leave does an employee have?", "leave", "thirty"),),
}


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    for name, passages in (("rivers", RIVERS), ("office", OFFICE)):
        folder = tmp_path / name
        folder.mkdir()
        lines = [{"id": key, "title": key, "text": text} for key, text in passages.items()]
        (folder / "corpus.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        asked = [
            {"id": gold, "question": question, "gold_ids": [gold], "answers": [answer]}
            for question, gold, answer in QUESTIONS[name]
        ]
        (folder / "questions.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in asked))
    yield tmp_path
    structlog.reset_defaults()


def test_answers_are_scored_by_their_spans_their_citations_and_what_they_refuse(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["eval", "answers", "--data", str(data), "--engine", "quote", "--json"])
    assert ended.value.code == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rivers"]["containment"] == report["office"]["containment"] == 1.0
    assert report["citation_precision"] == report["refusal"] == 1.0
    assert report["false_refusal"] == 0.0
    assert report["median_ms"] > 0
