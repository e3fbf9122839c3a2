"""Statements that may answer a question, from a person, the planner or a language model."""

import re
from dataclasses import dataclass
from typing import Literal, Protocol

from workers.catalogue.linking import SchemaIndex, link
from workers.catalogue.model import Entity, SemanticModel
from workers.catalogue.words import fold

Origin = Literal["verified", "planner", "model"]

MAX_PROMPT_TABLES = 8
_MAX_PROMPT_COLUMNS = 40
_MAX_PROMPT_VALUES = 5
_FENCE = re.compile(r"```(?:sql|postgresql)?\s*(.*?)```", re.DOTALL | re.IGNORECASE)
_START = re.compile(r"\b(?:with\s+\w+\s+as\s*\(|select\b)", re.IGNORECASE)


class Engine(Protocol):
    """Whatever completes a prompt."""

    async def complete(self, prompt: str, *, max_tokens: int, grammar: str | None = None) -> str: ...


@dataclass(frozen=True)
class Candidate:
    """A statement as it was written, before the guard; `sure` as far as its author can tell."""

    sql: str
    origin: Origin
    sure: bool
    note: str = ""


def verified_candidate(question: str, model: SemanticModel) -> Candidate | None:
    """The checked statement of the same question, letter case and punctuation aside."""
    asked = _plain(question)
    match = next((query for query in model.verified if _plain(query.question) == asked), None)
    return Candidate(match.sql, "verified", sure=True) if match else None


async def model_candidate(
    question: str, index: SchemaIndex, engine: Engine, *, failed: tuple[str, str] | None = None
) -> Candidate | None:
    """Ask the language model; None when it answers without SQL.

    Args:
        failed: a statement of its and what the database said to it, for one repair.
    """
    text = await engine.complete(prompt_for(question, index, failed=failed), max_tokens=400)
    sql = extract_sql(text)
    return Candidate(sql, "model", sure=False) if sql else None


def extract_sql(text: str) -> str | None:
    """The statement in a model's answer: fenced, or from the first SELECT to the semicolon."""
    fenced = _FENCE.search(text)
    body = fenced.group(1) if fenced else text
    start = _START.search(body)
    if start is None:
        return None
    statement = body[start.start() :].split(";", 1)[0]
    return statement.split("\n\n", 1)[0].strip() or None


def prompt_for(question: str, index: SchemaIndex, *, failed: tuple[str, str] | None = None) -> str:
    """Schema of the tables in question, checked examples, the question. The stable part comes first."""
    model = index.model
    tables = relevant_entities(question, index)
    shown = {entity.key for entity in tables}
    joins = [join for join in model.active_joins if join.left in shown and join.right in shown]
    lines = [
        "Write one PostgreSQL SELECT statement that answers the question.",
        "Use only these tables and columns. Answer with the statement alone.",
        "",
        *(_described(entity) for entity in tables),
        *(f"-- {join.left}.{a} = {join.right}.{b}" for join in joins for a, b in join.columns),
        *(f"Question: {query.question}\nSQL: {query.sql}" for query in model.verified[:3]),
        "",
    ]
    if failed is not None:
        lines += [f"This statement failed: {failed[0]}", f"The database says: {failed[1]}", ""]
    return "\n".join([*lines, f"Question: {question}", "SQL:"])


def relevant_entities(question: str, index: SchemaIndex) -> list[Entity]:
    """Tables that the question names, best first, then those joined to them, up to a limit."""
    model = index.model
    if sum(1 for _ in model.visible) <= MAX_PROMPT_TABLES:
        return list(model.visible)
    scores = link(question, index).entities()
    ranked = sorted(scores, key=lambda key: -scores[key])
    for join in model.active_joins:
        for one, other in ((join.left, join.right), (join.right, join.left)):
            if one in scores and other not in ranked:
                ranked.append(other)
    chosen = ranked[:MAX_PROMPT_TABLES]
    return [entity for entity in model.visible if entity.key in chosen]


def _described(entity: Entity) -> str:
    columns = []
    for column in entity.visible[:_MAX_PROMPT_COLUMNS]:
        values = f" e.g. {', '.join(column.values[:_MAX_PROMPT_VALUES])}" if column.values else ""
        columns.append(f"{column.name} {column.kind}{values}")
    note = f" -- {entity.description}" if entity.description else ""
    return f"{entity.key}({'; '.join(columns)}){note}"


def _plain(question: str) -> str:
    return re.sub(r"[^\w\s]", "", fold(question)).strip()
