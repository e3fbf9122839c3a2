"""What a comparison of two routers remembers, and the shape of the router's evaluation."""

import json
from pathlib import Path

import pytest

from contracts.query import Route
from evals.router import main
from workers.catalogue.linking import SchemaIndex
from workers.catalogue.model import Column, Entity, SemanticModel
from workers.catalogue.vocabulary import Vocabulary
from workers.router.evidence import Catalogue
from workers.router.patterns import Note
from workers.router.shadow import KEPT, Comparison, Judged, Pair, judge
from workers.router.training import Connected, made_from

QUESTIONS = (
    ("how many ships are in the database", "sql"),
    ("list the names of all ships ordered by tonnage", "sql"),
    ("how do i change the password of my account", "rag"),
    ("good morning how are you", "other"),
)


def test_only_the_last_differences_are_remembered_and_all_are_counted() -> None:
    comparison = Comparison()
    for number in range(3 * KEPT):
        comparison.add(Pair("acme", f"q{number}", Route.SQL, Route.DOCUMENTS, 0.6, 0.7))
        comparison.add(Pair("acme", f"s{number}", Route.SQL, Route.SQL, 0.6, 0.7))

    assert (comparison.questions, comparison.agreement) == (6 * KEPT, 0.5)
    assert len(comparison.differences) == KEPT
    assert comparison.differences[-1].question == f"q{3 * KEPT - 1}"


def test_both_gathers_either_evidence_but_is_no_small_talk() -> None:
    assert judge(Route.SQL, live=Route.BOTH, shadow=Route.DOCUMENTS) == Judged(1, live=1, shadow=0)
    assert judge(Route.DIRECT, live=Route.BOTH, shadow=Route.DIRECT) == Judged(1, live=0, shadow=1)


def test_made_questions_name_what_is_connected_and_come_again_with_the_same_seed() -> None:
    ship = Entity("public", "ships", "ship", (Column("tonnage", "number", "measure"),))
    notes = (Note("Mooring", "A spring line keeps the vessel from surging along the quay in a swell."),)
    schema = SchemaIndex(SemanticModel(entities=(ship,), joins=()))
    tenant = Connected("harbour", Catalogue(schema, Vocabulary(notes)), notes)

    made = made_from([tenant], count=40, seed=3)

    own = [found for found in made if found.group.startswith("harbour/")]
    assert any("tonnage" in found.text and found.label == "sql" for found in own)
    assert any("mooring" in found.text and found.label == "documents" for found in own)
    assert {found.label for found in made} == {"sql", "documents", "direct"}
    assert made == made_from([tenant], count=40, seed=3) != made_from([tenant], count=40, seed=4)


def test_the_evaluation_prints_one_object_of_the_documented_shape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.dumps({"text": text, "label": label, "source": "own"}) for text, label in QUESTIONS]
    (tmp_path / "unseen.jsonl").write_text("\n".join(lines))

    main(["--data", str(tmp_path), "--json", "--scale", "0.1"])

    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"accuracy", "n", "unseen.jsonl"}
    assert report["n"] == len(QUESTIONS)
    assert set(report["unseen.jsonl"]) == {"accuracy", "both_share", "effective_accuracy", "by_source"}
    assert report["unseen.jsonl"]["by_source"] == {"own": report["accuracy"]}
    assert report["accuracy"] >= 0.75
