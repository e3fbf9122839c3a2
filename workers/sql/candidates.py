"""Statements that may answer a question, from a person, the planner or a language model."""

import re
from dataclasses import dataclass
from typing import Literal, Protocol

from workers.catalogue.linking import SchemaIndex, link
from workers.catalogue.model import Column, Entity, Formula
from workers.sql.examples import similar_examples

Origin = Literal["verified", "planner", "model"]

MAX_PROMPT_TABLES = 8
_MAX_STATEMENT_TOKENS = 400
_TASK = (
    "Write one PostgreSQL SELECT statement that answers the question.",
    "Use only these tables and columns. Answer with the statement alone.",
    "Return the columns that are asked for and no others.",
    "",
)
_MAX_PROMPT_COLUMNS = 40
_MAX_PROMPT_VALUES = 5
_FENCE = re.compile(r"```(?:sql|postgresql)?\s*(.*?)```", re.DOTALL | re.IGNORECASE)
_START = re.compile(r"\b(?:with\s+\w+\s+as\s*\(|select\b)", re.IGNORECASE)


class Engine(Protocol):
    """Whatever writes a statement for a prompt."""

    async def statement(self, prompt: str, *, max_tokens: int, temperature: float = 0.0) -> str:
        """What it writes where a statement is asked for, maybe fenced or with words around it."""


@dataclass(frozen=True)
class Candidate:
    """A statement as it was written, before the guard; `sure` as far as its author can tell."""

    sql: str
    origin: Origin
    sure: bool
    note: str = ""


async def model_candidate(
    question: str,
    index: SchemaIndex,
    engine: Engine,
    *,
    notes: str = "",
    failed: tuple[str, str] | None = None,
    temperature: float = 0.0,
) -> Candidate | None:
    """Ask the language model; None when it answers without SQL.

    Args:
        failed: a statement of its and what the database said to it, for one repair.
    """
    prompt = prompt_for(question, index, notes=notes, failed=failed)
    text = await engine.statement(prompt, max_tokens=_MAX_STATEMENT_TOKENS, temperature=temperature)
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


def prompt_for(
    question: str, index: SchemaIndex, *, notes: str = "", failed: tuple[str, str] | None = None
) -> str:
    """Schema of the tables in question, what terms mean, checked examples, the question.

    What stays the same over the questions of a database comes first.
    """
    model = index.model
    tables = relevant_entities(question, index)
    shown = {entity.key for entity in tables}
    joins = [join for join in model.active_joins if join.left in shown and join.right in shown]
    lines = [
        *_TASK,
        *(_described(entity) for entity in tables),
        *(f"-- {join.left}.{a} = {join.right}.{b}" for join in joins for a, b in join.columns),
        *(_meaning(formula) for formula in model.formulas if not formula.hidden),
        *(f"-- {value!r} is a value of {column}" for column, value in _values_in(question, index, shown)),
        *(f"Question: {q.question}\nSQL: {q.sql}" for q in similar_examples(question, model)),
        *([f"Note: {notes}"] if notes else []),
        "",
    ]
    if failed is not None:
        lines += [f"This statement failed: {failed[0]}", f"The database says: {failed[1]}", ""]
    return "\n".join([*lines, f"Question: {question}", "SQL:"])


def _meaning(formula: Formula) -> str:
    names = " or ".join(formula.names)
    unit = f" in {formula.unit}" if formula.unit else ""
    return f"-- {names}{unit} means {formula.sql or formula.words}"


def _values_in(question: str, index: SchemaIndex, shown: set[str]) -> list[tuple[str, str]]:
    """Stored values that the question names, with their columns, as the database spells them."""
    targets = [target for item in link(question, index).links for target in item.of("value")[:2]]
    return [(f"{t.entity}.{t.column}", t.value) for t in targets if t.entity in shown and t.value]


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
    columns = "; ".join(_column(column) for column in entity.visible[:_MAX_PROMPT_COLUMNS])
    said = [entity.description, f"also called {', '.join(entity.synonyms)}" if entity.synonyms else ""]
    note = "; ".join(part for part in said if part)
    return f"{entity.key}({columns}){f' -- {note}' if note else ''}"


def _column(column: Column) -> str:
    values = f"e.g. {', '.join(column.values[:_MAX_PROMPT_VALUES])}" if column.values else ""
    labels = ", ".join(f"{value} = {label}" for value, label in column.labels.items())
    unit = f"in {column.unit}" if column.unit else ""
    also = f"also called {', '.join(column.synonyms)}" if column.synonyms else ""
    note = ", ".join(part for part in (column.description, unit, also, labels, values) if part)
    return f"{column.name} {column.kind}{f' ({note})' if note else ''}"
