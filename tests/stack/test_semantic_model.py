"""`askfleet sql model init|check|diff` on a real PostgreSQL, and what a person's file does to answers."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
import yaml

from askfleet.content import SEMANTIC_MODEL
from askfleet.embedded.postgres import PostgresServer
from askfleet.main import main
from askfleet.semantic_model import check_file
from contracts import Rows
from workers.catalogue.loading import load_schema
from workers.sql.agent import answer
from workers.sql.database import Database

TABLES = """
create table boats (boat_id int primary key, boat_name text not null, berth text, owner_ssn text);
create table trips (
  trip_id int primary key, boat_id int not null references boats, sailed_on date not null,
  fare_eur numeric not null, fuel numeric not null, kind int not null);
create table crew (crew_id int primary key, boat_id int, wt_kg numeric, hin text);
comment on table trips is 'One row for each trip. TM (trip margin) = (fare_eur - fuel) / fare_eur';
comment on column trips.kind is '0 = charter, 1 = ferry';
comment on column crew.hin is 'health insurance number';
insert into boats values (1, 'Heron', 'North', 's'), (2, 'Gull', 'South', 's'), (3, 'Tern', 'North', 's');
insert into trips values (1, 1, '2024-03-01', 100, 60, 0), (2, 1, '2024-04-01', 300, 100, 1),
  (3, 2, '2024-04-02', 200, 150, 1);
"""
EDITED = """
entities:
  - schema: public
    table: boats
    name: boats
    synonyms: [vessels]
    columns:
      - {name: berth, kind: text, synonyms: [pier], labels: {North: cold side}}
      - {name: owner_ssn, kind: text, hidden: true}
formulas:
  - name: takings
    synonyms: [TKN]
    sql: sum(trips.fare_eur - trips.fuel)
    unit: EUR
verified:
  - question: Which boats are idle at North?
    sql: >-
      select boat_name from boats where berth = 'North' and not exists
      (select 1 from trips where trips.boat_id = boats.boat_id)
"""
WRONG = """\
entities:
  - schema: public
    table: bots
    name: bots
    columns: []
  - schema: public
    table: boats
    name: boats
    synonyms: [trips]
    columns:
      - {name: boat_nam, kind: text}
      - {name: berth, kind: text, synonyms: [boat name]}
      - {name: owner_ssn, kind: text, hidden: true}
joins:
  - {left: public.crew, right: public.boats, columns: [[boot_id, boat_id]]}
formulas:
  - name: speed
    sql: sum(trips.speed)
  - name: broken
    sql: sum(fare_eur) / 0
verified:
  - question: Whose boat is it?
    sql: select owner_ssn from boats
  - question: How many?
    sql: select boat_name::int from boats
  - question: Drop it?
    sql: drop table boats
"""


TABLE = "  - schema: p\n    table: t\n    name: t\n"


class Outcome(NamedTuple):
    status: int
    out: str
    error: str


Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def dsn(postgres_server: PostgresServer) -> str:
    async def create() -> str:
        dsn = await postgres_server.create_database("harbour", replace=True)
        connection = await asyncpg.connect(dsn)
        await connection.execute(TABLES)
        await connection.close()
        return dsn

    return asyncio.run(create())


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], dsn: str) -> Run:
    def askfleet(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main(["sql", "model", *arguments, "--dsn", dsn])
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, *capsys.readouterr())

    return askfleet


def asked(question: str, dsn: str, model: Path | None) -> Rows:
    async def ask() -> Rows:
        database = await Database.connect(dsn, pool_size=1)
        try:
            return await answer(question, database=database, index=await load_schema(dsn, edited=model))
        finally:
            await database.close()

    return asyncio.run(ask())


def test_the_draft_has_what_was_learned_and_no_mistakes_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "harbour.yaml"
    assert run("init", str(path)).status == 0
    model = yaml.safe_load(path.read_text())
    columns = {c["name"]: c for entity in model["entities"] for c in entity["columns"]}
    assert columns["fare_eur"]["unit"] == "EUR"
    assert columns["wt_kg"]["unit"] == "kg"
    assert columns["hin"]["synonyms"] == ["health insurance number"]
    assert {join.get("kind") for join in model["joins"]} == {None, "implied"}
    assert [formula["name"] for formula in model["formulas"]] == ["TM"]
    assert "# e.g. North, South" in path.read_text()
    assert run("check", str(path)) == (0, f"{path}: no mistakes\n", "")
    assert run("diff", str(path)).out == "The database, beside the file: no changes\nThe file: no changes\n"


def test_a_file_is_overwritten_only_when_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "harbour.yaml"
    path.write_text("mine")
    refused = run("init", str(path))
    assert (refused.status, path.read_text()) == (2, "mine")
    assert "--force" in refused.error
    assert run("init", str(path), "--force").status == 0
    assert path.read_text() != "mine"


def test_every_mistake_is_named_with_its_line_and_kind(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    done = run("check", str(path), "--json")
    found = [(item["line"], item["code"]) for item in json.loads(done.out)["findings"]]
    assert found == [
        (3, "unknown-table"), (9, "synonym-collides"), (11, "unknown-column"), (12, "synonym-collides"),
        (15, "unknown-column"), (17, "formula-refused"), (19, "formula-failed"), (23, "verified-refused"),
        (25, "verified-failed"), (27, "verified-refused"),
    ]  # fmt: skip
    assert done.status == 1
    text = run("check", str(path)).out
    assert (
        f"{path}:11: unknown-column: public.boats has no column 'boat_nam'; the nearest name is 'boat_name'"
        in text
    )
    assert "owner_ssn" in text


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("entities:\n  - {a: [\n    b: c\n", 4, "not-yaml"),
        ("verified:\n  - question: x\n    sql: select 1\n    sequel: y\n", 4, "wrong-shape"),
        (f"entities:\n{TABLE}    columns:\n    - {{name: c, kind: blue}}\n", 6, "wrong-shape"),
    ],
)
def test_a_file_of_another_shape_is_refused_at_the_line(
    run: Run, tmp_path: Path, text: str, line: int, code: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    findings = json.loads(run("check", str(path), "--json").out)["findings"]
    assert [(item["line"], item["code"]) for item in findings] == [(line, code)]


def test_what_the_database_and_what_the_person_changed_is_shown_apart(
    run: Run, dsn: str, tmp_path: Path
) -> None:
    path = tmp_path / "harbour.yaml"
    run("init", str(path))
    text = path.read_text().replace("kind: text, synonyms", "kind: number, synonyms")
    text = text.replace("synonyms: []", "synonyms: [hulls]", 1).replace("name: berth", "name: beam")
    path.write_text(text.replace("verified: []", "verified:\n  - question: How?\n    sql: select 1"))
    done = run("diff", str(path), "--json")
    assert not done.error
    found = json.loads(done.out)
    assert [(change["sign"], change["where"]) for change in found["database"]] == [
        ("+", "public.boats.berth"), ("-", "public.boats.beam"), ("~", "public.crew.hin"),
    ]  # fmt: skip
    assert [change["where"] for change in found["person"]] == ["public.boats", "How?"]


def test_what_a_person_wrote_answers_questions(dsn: str, tmp_path: Path) -> None:
    path = tmp_path / "edited.yaml"
    path.write_text(EDITED)
    answers = {
        "How many vessels are there?": ((3,),),
        "Which boats are idle at North?": (("Tern",),),
        "Which boats are idle at South?": (),
        "What are the takings in April 2024?": ((250,),),
        "How many boats are on the cold side?": ((2,),),
    }
    for question, rows in answers.items():
        found = asked(question, dsn, path)
        assert (found.rows, found.confidence) == (rows, "high"), (question, found)
        assert asked(question, dsn, None).confidence != "high", question
    ranked = asked("Which boat has the highest TKN?", dsn, path)
    assert ranked.rows[0][0] == "Heron", ranked
    assert "owner_ssn" not in json.dumps(asked("Show all details of the boats", dsn, path).model_dump())


def test_a_term_that_a_comment_defines_is_a_figure_of_the_database(dsn: str) -> None:
    found = asked("What is the trip margin in April 2024?", dsn, None)
    assert found.rows == ((pytest.approx(0.5),),), found
    assert asked("How many ferry trips were there?", dsn, None).rows == ((2,),)


async def test_the_file_of_the_sample_database_has_no_mistakes(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute((SEMANTIC_MODEL.parent / "support_desk.sql").read_text())
    await connection.close()
    assert await check_file(SEMANTIC_MODEL, postgres_dsn, tenant="demo") == []
