"""The semantic model file of a database: drafted, checked against the database, compared with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import AskfleetError, Misconfigured, StatementRefused
from workers.catalogue.draft import draft
from workers.catalogue.inspection import Finding, Source, inspect, parse
from workers.catalogue.linking import SchemaIndex
from workers.catalogue.loading import load_schema
from workers.catalogue.model import Formula, SemanticModel, VerifiedQuery
from workers.catalogue.revision import Change, differences, edits, merge
from workers.sql.database import Database
from workers.sql.formulas import Compiled, FormulaRefused, compile_formula, is_phrase
from workers.sql.guard import guard
from workers.sql.planner import Planner
from workers.sql.terms import statement_of

_FEW_ROWS = 5
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Difference:
    """What the database changed since the file was written, and what the file changes of the database."""

    database: list[Change]
    person: list[Change]


async def read_database(dsn: str) -> SemanticModel:
    """Raises DependencyUnavailable."""
    return (await load_schema(dsn)).model


def write_draft(dsn: str, path: Path, *, force: bool) -> SemanticModel:
    """
    Raises:
        Misconfigured: the file is there and `force` is not given, or it can't be written.
        DependencyUnavailable: the database does not answer.
    """
    if path.exists() and not force:
        raise Misconfigured(
            f"{path} is there already.", remedy="Name another file, or overwrite this one with --force."
        )
    found = asyncio.run(load_schema(dsn))
    usable = tuple(formula for formula in found.model.formulas if _compiles(formula, found))
    model = SemanticModel(found.model.entities, found.model.joins, usable)
    try:
        path.write_text(draft(model), encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"Can't write {path}: {error.strerror}.", remedy="Name another file.") from error
    return model


async def check_file(path: Path, dsn: str, *, tenant: str) -> list[Finding]:
    """Every mistake of the file, by line; its formulas and checked queries run once.

    Raises:
        Misconfigured: the file can't be read.
        DependencyUnavailable: the database does not answer.
    """
    model, source, findings = parse(_text(path))
    if model is None or source is None:
        return sorted(findings, key=lambda finding: finding.line)
    live = await read_database(dsn)
    findings = inspect(model, source, live)
    async with _database(dsn) as database:
        asking = _Asking(SchemaIndex(merge(live, model)), database, tenant)
        for at, formula in enumerate(model.formulas):
            findings += await asking.formula(formula, source.line(("formulas", at)))
        for at, query in enumerate(model.verified):
            findings += await asking.verified(query, source, at)
    return sorted(findings, key=lambda finding: finding.line)


async def compare_file(path: Path, dsn: str) -> Difference:
    """
    Raises:
        Misconfigured: the file can't be read, or is wrong: the message says how to see every mistake.
        DependencyUnavailable: the database does not answer.
    """
    model, _, findings = parse(_text(path))
    if model is None:
        first = findings[0]
        raise Misconfigured(
            f"{path}, line {first.line}: {first.detail}", remedy=f"See `askfleet sql model check {path}`."
        )
    live = await read_database(dsn)
    return Difference(differences(live, model), edits(live, model))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"Can't read {path}: {error}.", remedy="`askfleet sql model init` writes one."
        ) from error


def _compiles(formula: Formula, index: SchemaIndex) -> bool:
    if is_phrase(formula):
        return True
    try:
        compile_formula(formula, index, Planner(index.model, index).plan)
    except FormulaRefused:
        return False
    return True


@asynccontextmanager
async def _database(dsn: str) -> AsyncIterator[Database]:
    database = await Database.connect(dsn, statement_timeout_s=_TIMEOUT_S, pool_size=1)
    try:
        yield database
    finally:
        await database.close()


class _Asking:
    """Runs what a file says, as the SQL worker would: through the guard, read-only, in the tenant's name."""

    def __init__(self, index: SchemaIndex, database: Database, tenant: str) -> None:
        self._index, self._database, self._tenant = index, database, tenant

    async def formula(self, formula: Formula, line: int) -> list[Finding]:
        if formula.hidden or is_phrase(formula):
            return []
        remedy = "Correct the formula, or hide it."
        try:
            made = compile_formula(formula, self._index, Planner(self._index.model, self._index).plan)
        except FormulaRefused as error:
            return [Finding(line, "formula-refused", formula.name, str(error), remedy)]
        if made.unexplained:
            words = ", ".join(made.unexplained)
            detail = f"These words are not understood: {words}."
            return [Finding(line, "formula-refused", formula.name, detail, "Write it as sql.")]
        return await self._run(self._statement(made), "formula", formula.name, (line, remedy))

    def _statement(self, made: Compiled) -> str:
        return statement_of(made, self._index.model)

    async def verified(self, query: VerifiedQuery, source: Source, at: int) -> list[Finding]:
        line = source.line(("verified", at, "sql"))
        remedy = "Correct the statement, or take the query out."
        return await self._run(query.sql, "verified", query.question, (line, remedy))

    async def _run(self, sql: str, kind: str, where: str, said: tuple[int, str]) -> list[Finding]:
        line, remedy = said
        refused, failed = ("formula-refused", "formula-failed")
        if kind == "verified":
            refused, failed = ("verified-refused", "verified-failed")
        try:
            guarded = guard(sql, self._index.model, row_limit=_FEW_ROWS)
            await self._database.query(guarded.sql, row_limit=_FEW_ROWS, tenant=self._tenant)
        except StatementRefused as error:
            return [Finding(line, refused, where, error.detail, remedy)]  # type: ignore[arg-type]
        except AskfleetError as error:
            return [Finding(line, failed, where, error.detail, remedy)]  # type: ignore[arg-type]
        return []
