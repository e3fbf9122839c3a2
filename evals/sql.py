"""Accuracy of questions over databases: run what the SQL worker makes of them, compare with the gold rows.

    python -m evals.sql [--data FOLDER] [--only DATABASE ...] [--json] [--engine-url URL --model NAME]

Each database is created from its `schema.sql` and `data.sql` in an embedded PostgreSQL; the questions marked
`trusted` are asked. An answer counts when its rows equal those of a gold statement that runs beside it: as
sets, columns in any order, rows in order where the question is marked `ordered`.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from pydantic import BaseModel

from askfleet.embedded.postgres import PostgresServer
from contracts.errors import Misconfigured, PermanentError
from contracts.event import Rows, Scalar
from evals.phoenix import Case, upload
from workers.catalogue.introspection import introspect
from workers.catalogue.linking import SchemaIndex
from workers.catalogue.model import SemanticModel
from workers.proportions import wilson
from workers.sql.agent import answer
from workers.sql.candidates import Engine
from workers.sql.completion import open_completion
from workers.sql.database import Database, create_reader_role
from workers.sql.settings import SqlSettings

DEFAULT_DATA = Path("../shared/data/dev/text2sql")
_READER, _PASSWORD = "askfleet_reader", "reader"
_ROW_LIMIT = 10_000
_MAX_PERMUTATIONS = 500

Row = tuple[Scalar, ...]


class Question(BaseModel):
    id: str
    question: str
    gold_sql: str
    gold_sqls: tuple[str, ...] = ()
    trusted: bool = True
    ordered: bool = False
    instructions: str = ""
    """What the question's terms mean, for those that come with their definitions."""

    @property
    def accepted(self) -> tuple[str, ...]:
        return self.gold_sqls or (self.gold_sql,)


@dataclass(frozen=True)
class Author:
    """The language model beside the planner, if one is measured."""

    engine: Engine | None
    candidates: int


@dataclass(frozen=True)
class Outcome:
    database: str
    question: Question
    answer: Rows
    correct: bool


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="a folder with one for each database")
    parser.add_argument("--only", nargs="*", help="names of databases to ask")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--engine-url", default="", help="an OpenAI-compatible server, with /v1")
    parser.add_argument("--model", default="", help="the model at that server")
    parser.add_argument("--candidates", type=int, default=3, help="statements of the model per question")
    parser.add_argument("--phoenix", default="", help="address of a Phoenix that keeps this as an experiment")
    options = parser.parse_args(arguments)
    engine = _engine_settings(options.engine_url, options.model, options.candidates)
    outcomes = asyncio.run(evaluate(options.data, only=options.only, engine=engine))
    if options.json:
        print(json.dumps(summary(outcomes)))
    else:
        _print_misses(outcomes)
        print(_as_text(outcomes))
    if options.phoenix:
        about = {"model": options.model}
        print(upload(options.phoenix, "sql", cases(outcomes), settings=about), file=sys.stderr)


def cases(outcomes: Sequence[Outcome]) -> list[Case]:
    return [
        Case(
            asked={"question": outcome.question.question, "database": outcome.database},
            wanted={"statements": list(outcome.question.accepted)},
            came={"statement": outcome.answer.statement, "confidence": outcome.answer.confidence},
            scores={
                "correct": float(outcome.correct),
                "confident": float(outcome.answer.confidence == "high"),
            },
            about={"id": outcome.question.id},
        )
        for outcome in outcomes
    ]


def _folders(data: Path, only: Sequence[str] | None) -> list[Path]:
    folders = [path.parent for path in sorted(data.glob("*/questions.jsonl"))]
    folders = [path for path in folders if (path / "schema.sql").exists() and (not only or path.name in only)]
    if not folders:
        raise Misconfigured(
            f"There are no databases in {data}.",
            remedy="Name with --data a folder of one for each: schema.sql, data.sql and questions.jsonl.",
        )
    return folders


def _engine_settings(url: str, model: str, candidates: int) -> SqlSettings:
    """Its key is AF_SQL_ENGINE_API_KEY: on the command line it would show in the list of processes."""
    if not url:
        return SqlSettings(sql_engine="none")
    return SqlSettings(
        sql_engine="openai",
        sql_engine_url=url,
        sql_engine_model=model,
        sql_engine_candidates=candidates,
        sql_engine_timeout_s=120,
    )


async def evaluate(
    data: Path, *, only: Sequence[str] | None = None, engine: SqlSettings | None = None
) -> list[Outcome]:
    """
    Args:
        engine: settings of the language model that writes SQL too; without one, the planner is measured.

    Raises:
        DependencyUnavailable: the language model does not answer.
    """
    folders = _folders(data, only)
    settings = engine or SqlSettings(sql_engine="none")
    completion = await open_completion(settings)
    author = Author(completion, settings.sql_engine_candidates)
    try:
        if completion is not None:
            # A worker goes on without its engine; to measure one, it has to be there.
            await completion.start()
        return await _evaluate_all(folders, author)
    finally:
        if completion is not None:
            await completion.close()


async def _evaluate_all(folders: Sequence[Path], author: Author) -> list[Outcome]:
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="askfleet-evals-") as scratch:
        async with PostgresServer(Path(scratch) / "postgres", options={"fsync": "off"}) as server:
            for folder in folders:
                outcomes += await _evaluate_one(server, folder, author)
    return outcomes


async def _evaluate_one(server: PostgresServer, folder: Path, author: Author) -> list[Outcome]:
    owner = await server.create_database(folder.name)
    model = await _load(owner, folder)
    schemas = sorted({entity.schema for entity in model.entities})
    await create_reader_role(owner, _READER, _PASSWORD, schemas=schemas)
    dsn = server.dsn_of(folder.name, user=_READER, password=_PASSWORD)
    database = await Database.connect(dsn, pool_size=2)
    index = SchemaIndex(model)
    try:
        return [await _ask(database, index, folder.name, question, author) for question in _questions(folder)]
    finally:
        await database.close()


async def _load(dsn: str, folder: Path) -> SemanticModel:
    connection = await asyncpg.connect(dsn)
    try:
        for name in ("schema.sql", "data.sql"):
            if (folder / name).exists():
                await connection.execute((folder / name).read_text(encoding="utf-8"))
                await connection.execute("reset search_path")
        return await introspect(connection)
    except asyncpg.PostgresError as error:
        raise Misconfigured(
            f"PostgreSQL does not take {folder / name}: {error}.", remedy="Correct the file."
        ) from error
    finally:
        await connection.close()


def _questions(folder: Path) -> Iterable[Question]:
    lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = (Question.model_validate_json(line) for line in lines if line.strip())
    return (question for question in questions if question.trusted)


async def _ask(
    database: Database, index: SchemaIndex, name: str, question: Question, author: Author
) -> Outcome:
    rows = await answer(
        question.question,
        database=database,
        index=index,
        engine=author.engine,
        row_limit=_ROW_LIMIT,
        candidates=author.candidates,
        notes=question.instructions,
    )
    correct = rows.statement is not None and await _is_accepted(database, question, rows.rows)
    return Outcome(name, question, rows, correct)


async def _is_accepted(database: Database, question: Question, rows: Sequence[Row]) -> bool:
    for gold in question.accepted:
        try:
            result = await database.query(gold.rstrip().rstrip(";"), row_limit=_ROW_LIMIT)
        except PermanentError:
            continue
        if equal(rows, result.rows, ordered=question.ordered):
            return True
    return False


def equal(rows: Sequence[Row], gold: Sequence[Row], *, ordered: bool) -> bool:
    """Whether some order of the columns makes both the same set of rows (list, where order counts)."""
    ours, theirs = [_plain(row) for row in rows], [_plain(row) for row in gold]
    if not ours or not theirs:
        return not ours and not theirs
    width = len(theirs[0])
    if len(ours[0]) != width or len(set(ours)) != len(set(theirs)):
        return False
    for order in itertools.islice(_column_orders(ours, theirs), _MAX_PERMUTATIONS):
        moved = [tuple(row[column] for column in order) for row in ours]
        if (moved == theirs) if ordered else (set(moved) == set(theirs)):
            return True
    return False


def _column_orders(ours: list[tuple[str, ...]], theirs: list[tuple[str, ...]]) -> Iterable[tuple[int, ...]]:
    """Orders in which each of our columns holds the same values as theirs."""
    mine = [frozenset(row[column] for row in ours) for column in range(len(ours[0]))]
    options = [
        [column for column, values in enumerate(mine) if values == frozenset(row[place] for row in theirs)]
        for place in range(len(theirs[0]))
    ]
    return (order for order in itertools.product(*options) if len(set(order)) == len(order))


def _plain(row: Row) -> tuple[str, ...]:
    return tuple(
        f"{value:.4f}".rstrip("0").rstrip(".")
        if isinstance(value, int | float) and not isinstance(value, bool)
        else str(value).removesuffix("T00:00:00").strip()
        for value in row
    )


def summary(outcomes: Sequence[Outcome]) -> dict[str, object]:
    confident = [outcome for outcome in outcomes if outcome.answer.confidence == "high"]
    databases = itertools.groupby(outcomes, key=lambda outcome: outcome.database)
    return {
        "execution_accuracy": _share(outcomes),
        "confident_precision": _share(confident),
        "confident_share": round(len(confident) / max(1, len(outcomes)), 4),
        "median_ms": round(statistics.median([outcome.answer.took_ms for outcome in outcomes] or [0.0]), 2),
        "n": len(outcomes),
        "by_database": {
            name: {"execution_accuracy": _share(group), "n": len(group)}
            for name, group in ((name, list(found)) for name, found in databases)
        },
    }


def _share(outcomes: Sequence[Outcome]) -> float:
    return round(sum(outcome.correct for outcome in outcomes) / max(1, len(outcomes)), 4)


def _as_text(outcomes: Sequence[Outcome]) -> str:
    """The figures, with E. B. Wilson's intervals at 95 %."""
    confident = [outcome for outcome in outcomes if outcome.answer.confidence == "high"]
    report = summary(outcomes)
    lines = [
        f"execution_accuracy   {_interval([outcome.correct for outcome in outcomes])}",
        f"confident_precision  {_interval([outcome.correct for outcome in confident])}",
        f"confident_share      {_interval([outcome in confident for outcome in outcomes])}",
        f"median_ms            {report['median_ms']}",
        "",
        f"{'database':36} {'accuracy':36} {'precision of confident':36}",
    ]
    for name in dict.fromkeys(outcome.database for outcome in outcomes):
        every = [outcome.correct for outcome in outcomes if outcome.database == name]
        sure = [outcome.correct for outcome in confident if outcome.database == name]
        lines.append(f"{name:36} {_interval(every):36} {_interval(sure)}")
    return "\n".join(lines)


def _interval(hits: Sequence[bool]) -> str:
    if not hits:
        return "none"
    low, high = wilson(sum(hits), len(hits))
    return f"{sum(hits) / len(hits):.3f} ({low:.3f} to {high:.3f}) of {len(hits)}"


def _print_misses(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if not outcome.correct:
            print(f"[{outcome.answer.confidence}] {outcome.question.question}")
            print(f"    ours: {outcome.answer.statement}  ({outcome.answer.reason})")
            print(f"    gold: {outcome.question.gold_sql}")


if __name__ == "__main__":
    main()
