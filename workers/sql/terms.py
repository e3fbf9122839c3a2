"""Questions with terms that the semantic model defines by a formula.

The planner sees a formula as one more number column of the table that it is about, so that all it knows
(groups, superlatives, conditions, dates) works on formulas too. In its statement the expression takes that
column's place.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import sqlglot
from sqlglot import exp

from workers.catalogue.linking import SchemaIndex
from workers.catalogue.model import Column, Formula, SemanticModel
from workers.catalogue.words import root
from workers.sql.formulas import Compiled, FormulaRefused, compile_formula, is_phrase
from workers.sql.joins import JoinGraph
from workers.sql.plan import alias_of, condition_of, identifier, table
from workers.sql.planner import NoProposal, Planner, Proposal
from workers.sql.units import measured

DIALECT = "postgres"
_AGGREGATING = re.compile(r"\b(?:total|sum of|average|avg|mean)(?: of)?(?: the)?\s+$", re.IGNORECASE)
# `What is the margin in May?` asks for one figure, `what are the margins of the trips` for one of each row.
_ONE_FIGURE = re.compile(
    r"^\W*(?:what(?:'s| is| was)|calculate|compute|determine)(?: the| our)?\s+$", re.IGNORECASE
)
_MAX_REPEATS = 3
_REMARK = re.compile(r"\([^()]*\)")
_COUNT = re.compile(r"^(?:total\s+)?(\D+?)\s+count$", re.IGNORECASE)
_ASIDE = re.compile(r"[,;:]|\b(?:which|that is|i\.e\.|where)\b")
_TAIL = re.compile(r"\b(?:in|for|during|over|within)\s(?:(?!\b(?:in|for|during|over|within)\b).)+$")


@dataclass(frozen=True)
class _Said:
    """A formula and the ways in which this question says it."""

    formula: Formula
    pattern: re.Pattern[str]


def plan(question: str, index: SchemaIndex, extra: Sequence[Formula] = ()) -> Proposal | NoProposal:
    """What the planner makes of the question, the terms in it read as their formulas say.

    Args:
        extra: formulas beside those of the model, such as those of an instruction to this question.
    """
    said = _said(question, index, (*extra, *index.model.formulas))
    asked = measured(question, index, [item.formula for item in said])
    return asked.judge(_plan(asked.question, index, said))


def _plan(question: str, index: SchemaIndex, said: Sequence[_Said]) -> Proposal | NoProposal:
    planner = Planner(index.model, index)
    if not said:
        return planner.plan(question)
    plain, worded = planner.plan(question), _in_words(question, said)
    if worded != question:
        spoken = planner.plan(worded)
        if _is_better(spoken, plain):
            question = worded
    compiled: list[Compiled] = []
    for item in said:
        if not is_phrase(item.formula):
            try:
                made = compile_formula(item.formula, index, planner.plan)
            except FormulaRefused:
                continue
            compiled.append(made)
            question = _with_total(question, item, made)
    if not compiled:
        return _unsure(planner.plan(question))
    seen = index.with_columns([(made.base, _column(made)) for made in compiled])
    proposal = Planner(seen.model, seen).plan(question)
    if isinstance(proposal, NoProposal):
        return proposal
    return _expanded(proposal, compiled, index.model)


def statement_of(made: Compiled, model: SemanticModel) -> str:
    """A statement that shows nothing but the formula, over all rows of its base."""
    select = exp.Select().select(made.tree.copy()).from_(table(model, made.base))
    _joined(select, made, model)
    return select.sql(dialect=DIALECT)


def _said(question: str, index: SchemaIndex, formulas: Iterable[Formula]) -> list[_Said]:
    found: dict[str, _Said] = {}
    for formula in formulas:
        if formula.hidden or formula.name.lower() in found:
            continue
        # What a table or column is called is that table or column: `VIN = Vehicle Identification Number`.
        names = [name for name in formula.names if formula.sql or not _is_known(name, index)]
        if not names:
            continue
        pattern = re.compile("|".join(_spelled(name) for name in sorted(names, key=len, reverse=True)))
        if pattern.search(question):
            found[formula.name.lower()] = _Said(formula, pattern)
    return list(found.values())


def _is_known(name: str, index: SchemaIndex) -> bool:
    return any(target.score >= 0.9 for target in index.phrase(name.split()))


def _spelled(name: str) -> str:
    """In any letter case, but for short capitals: `IT` is no `it`."""
    words = r"[\s_-]+".join(re.escape(word) for word in re.split(r"[\s_-]+", name))
    short = name.isupper() and len(name) <= 3
    return rf"\b{words}\b" if short else rf"\b(?i:{words})s?\b"


def _in_words(question: str, said: Sequence[_Said]) -> str:
    """The question with what its terms stand for in their place; what it says itself is not said twice."""
    asked = {root(word) for word in question.split()}
    for item in said:
        if is_phrase(item.formula):
            words = _ASIDE.split(_REMARK.sub("", item.formula.words), maxsplit=1)[0]
            tail = _TAIL.search(words)
            if tail is not None and {root(word) for word in tail[0].split()} <= asked:
                words = words[: tail.start()]
            words = _COUNT.sub(r"number of \1", words.strip())
            question = item.pattern.sub(words.strip().replace("\\", ""), question)
    return question


def _is_better(one: Proposal | NoProposal, other: Proposal | NoProposal) -> bool:
    if isinstance(one, NoProposal):
        return False
    return isinstance(other, NoProposal) or one.confidence >= other.confidence


def _unsure(proposal: Proposal | NoProposal) -> Proposal | NoProposal:
    """A term that is read by its definition in prose, or not at all, may mean more than was read."""
    return proposal if isinstance(proposal, NoProposal) else replace(proposal, confident=False)


def _with_total(question: str, item: _Said, made: Compiled) -> str:
    """A figure over many rows is a total to the planner; twice the same name is said once more only."""

    def spoken(match: re.Match[str]) -> str:
        name = made.column.replace("_", " ")
        before = question[: match.start()]
        whole = made.aggregate or _ONE_FIGURE.match(before) is not None
        return name if not whole or _AGGREGATING.search(before) else f"total {name}"

    return item.pattern.sub(spoken, question, count=_MAX_REPEATS)


def _column(made: Compiled) -> Column:
    return Column(made.column, "number", "measure", synonyms=made.formula.names)


def _expanded(proposal: Proposal, compiled: list[Compiled], model: SemanticModel) -> Proposal | NoProposal:
    tree = sqlglot.parse_one(proposal.sql, dialect=DIALECT)
    sure = proposal.confident
    used = False
    for made in compiled:
        alias = alias_of(model, made.base)
        places = [c for c in tree.find_all(exp.Column) if c.name == made.column and c.table == alias]
        used = used or bool(places)
        sure = sure and bool(places) and made.sure
        for place in places:
            select = place.find_ancestor(exp.Select)
            if select is None or not _replaced(place, made, select):
                return NoProposal(f"The planner can't tell over which rows to take {made.formula.name!r}.")
            sure = _joined(select, made, model) and sure
    if not used:
        return replace(proposal, confident=False)
    words = tuple(word for made in compiled for word in made.unexplained)
    return replace(
        proposal,
        sql=tree.sql(dialect=DIALECT),
        confident=sure,
        unexplained=(*proposal.unexplained, *words),
    )


def _replaced(place: exp.Column, made: Compiled, select: exp.Select) -> bool:
    """Put the expression where the planner wrote the column; False where that would mean nothing."""
    around = place.parent
    summed = isinstance(around, exp.Sum | exp.Avg)
    tree = made.tree.copy()
    if made.aggregate:
        grouped = select.args.get("group")
        if summed and around is not None:
            _swap(around, tree, made)
            return True
        if isinstance(around, exp.AggFunc) or grouped is None:
            return False
        if isinstance(around, exp.Group):
            place.pop()
            return True
        _swap(place, tree, made)
        return True
    whole = _quotient_of_sums(tree) if summed else None
    if whole is not None and around is not None:
        _swap(around, whole, made)
    else:
        _swap(place, tree, made)
    return True


def _quotient_of_sums(tree: exp.Expr) -> exp.Expr | None:
    """Of a quotient over many rows both sides are added up, not the quotients; None where it is none."""
    whole = exp.Paren(this=tree.copy())
    for division in list(whole.find_all(exp.Div)):
        inside = division.find_ancestor(exp.AggFunc)
        if inside is None and all(side.find(exp.Column) for side in (division.left, division.right)):
            division.set("this", exp.Sum(this=division.left.unnest()))
            division.set("expression", exp.Sum(this=division.right.unnest()))
    columns = list(whole.find_all(exp.Column))
    return whole if all(item.find_ancestor(exp.AggFunc) for item in columns) else None


def _swap(old: exp.Expr, tree: exp.Expr, made: Compiled) -> None:
    shown = old.parent
    expression = tree if isinstance(tree, exp.Paren | exp.Func) else exp.Paren(this=tree)
    if isinstance(shown, exp.Alias):
        shown.set("alias", identifier(made.column))
        shown.set("this", expression)
    elif isinstance(shown, exp.Select):
        old.replace(exp.alias_(expression, identifier(made.column)))
    else:
        old.replace(expression)


def _joined(select: exp.Select, made: Compiled, model: SemanticModel) -> bool:
    """Join the tables that the formula needs; False where a row of its base may then come several times."""
    there = [made.base, *(key for key in _present(select, model) if key != made.base)]
    needed = [*there, *(key for key in made.tables if key not in there)]
    tree = JoinGraph(model).connect(needed)
    if tree is None:
        return False
    for step in tree.steps:
        if step.entity not in there:
            select.join(
                table(model, step.entity), on=condition_of(model, step.join), copy=False, dialect=DIALECT
            )
            there.append(step.entity)
    return not tree.multiplies(made.base) and not tree.ambiguous


def _present(select: exp.Select, model: SemanticModel) -> list[str]:
    sources = [select.args["from_"].this, *(join.this for join in select.args.get("joins") or [])]
    keys = [f"{source.db}.{source.name}" for source in sources if isinstance(source, exp.Table)]
    return [key for key in keys if model.entity(key) is not None]
