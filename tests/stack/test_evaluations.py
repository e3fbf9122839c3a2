"""`askfleet eval sql` on a database of ours."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import shop
import structlog
from scripted_engine import scripted

from askfleet.main import main

QUESTIONS = (
    {"id": "1", "question": "How many customers live in Oslo?", "gold_sql": "select 2"},
    {"id": "2", "question": "Show the 3 cheapest products", "gold_sql": "select product_name from products"},
    {"id": "3", "question": "Why is the sky blue?", "gold_sql": "select 1"},
    {"id": "4", "question": "How many orders are there?", "gold_sql": "select 9", "trusted": False},
)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "shop"
    folder.mkdir()
    tables, _, rows = shop.SQL.partition("insert into")
    (folder / "schema.sql").write_text(tables)
    (folder / "data.sql").write_text(f"insert into {rows}")
    (folder / "questions.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in QUESTIONS))
    (tmp_path / "notes").mkdir()
    yield tmp_path
    structlog.reset_defaults()


def test_trusted_questions_are_scored_by_their_rows(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["eval", "sql", "--data", str(data), "--json"])
    assert ended.value.code == 0
    report = json.loads(capsys.readouterr().out)
    assert report.pop("median_ms") > 0
    assert report == {
        "execution_accuracy": 0.3333,
        "confident_precision": 0.5,
        "confident_share": 0.6667,
        "n": 3,
        "by_database": {"shop": {"execution_accuracy": 0.3333, "n": 3}},
    }


def test_a_folder_without_databases_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["eval", "sql", "--data", str(tmp_path)])
    assert ended.value.code == 2
    assert str(tmp_path) in capsys.readouterr().err
    structlog.reset_defaults()


def test_a_language_model_is_measured_with_the_same_questions(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted("select 1") as engine, pytest.raises(SystemExit) as ended:
        main(["eval", "sql", "--data", str(data), "--json", "--engine-url", engine.url, "--candidates", "1"])
    assert ended.value.code == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["n"], report["execution_accuracy"]) == (3, 0.6667)
    assert len(engine.asked) == 1
    assert "sky" in engine.prompts[0]
