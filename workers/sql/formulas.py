"""Formulas of the semantic model as expressions over its columns."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from workers.catalogue.linking import SchemaIndex
from workers.catalogue.model import Entity, Formula, SemanticModel
from workers.catalogue.words import split_identifier
from workers.sql.joins import JoinGraph
from workers.sql.plan import alias_of, column
from workers.sql.proposal import NoProposal, Proposal
from workers.sql.resolution import ColumnRef

DIALECT = "postgres"
Plan = Callable[[str], Proposal | NoProposal]

_SPOKEN_OPERATORS = (
    (re.compile(r"\b(?:the )?ratio of (.+?) to (.+)$", re.IGNORECASE), r"(\1) / (\2)"),
    (re.compile(r"\bdivided by\b|\u00f7", re.IGNORECASE), " / "),
    (re.compile(r"\b(?:multiplied by|times)\b|\u00d7", re.IGNORECASE), " * "),
    (re.compile(r"\bminus\b", re.IGNORECASE), " - "),
    (re.compile(r"\bplus\b", re.IGNORECASE), " + "),
)
# A bracket right behind a word is a remark: `amount (in dollars)`.
_REMARK = re.compile(r"(?<=[a-z])\s+\([^()]*\)")
_PIECES = re.compile(r"\s*([()/*])\s*|\s+([-+])\s+|\s*([-+])\s*(?=\()|(?<=\))\s*([-+])\s*")
_NUMBER = re.compile(r"^\d+(?:\.\d+)?%?$")


class FormulaRefused(Exception):
    """The message says what of the formula can't be used."""


@dataclass(frozen=True)
class _Read:
    """How well the words of a formula were understood."""

    sure: bool = True
    unexplained: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compiled:
    """An expression with every column named by its table; `base` is the table whose rows it is about."""

    formula: Formula
    tree: exp.Expr
    tables: tuple[str, ...]
    base: str
    aggregate: bool
    sure: bool = True
    unexplained: tuple[str, ...] = ()
    """Words of the formula that were not understood."""

    @property
    def column(self) -> str:
        """The name under which the planner knows it."""
        return "_".join(split_identifier(self.formula.name))


def compile_formula(formula: Formula, index: SchemaIndex, plan: Plan) -> Compiled:
    """
    Args:
        plan: answers the parts of a formula in words, such as `number of open orders`.

    Raises:
        FormulaRefused: names what is not known, or what no join connects.
    """
    if formula.sql:
        tree, read = _of_sql(formula.sql, formula, index.model), _Read()
    else:
        tree, read = _of_words(formula, index, plan)
    tables = tuple(dict.fromkeys(_tables(tree, index.model)))
    aggregate = tree.find(exp.AggFunc) is not None
    base = _base(tables, index.model)
    if not formula.sql:
        _count_once(tree, alias_of(index.model, base))
    # A person who writes columns of two tables knows how they join; words may mean another table.
    sure = bool(formula.sql) or (read.sure and len(tables) == 1)
    return Compiled(formula, tree, tables, base, aggregate, sure, read.unexplained)


def _count_once(tree: exp.Expr, base: str) -> None:
    """Rows of another table come once for each row of the base that belongs to them."""
    for count in list(tree.find_all(exp.Count)):
        if isinstance(count.this, exp.Column) and count.this.table != base:
            count.set("this", exp.Distinct(expressions=[count.this]))


def is_phrase(formula: Formula) -> bool:
    """Other words for the term, and no arithmetic: the question is read with them in its place."""
    return not formula.sql and len(_pieces(formula.words)) == 1


def _of_sql(sql: str, formula: Formula, model: SemanticModel) -> exp.Expr:
    try:
        tree = sqlglot.parse_one(sql, dialect=DIALECT)
    except SqlglotError as error:
        raise FormulaRefused(f"Not an expression: {str(error).splitlines()[0]}") from error
    if not isinstance(tree, exp.Expr) or tree.find(exp.Query) is not None:
        raise FormulaRefused("A formula is an expression, not a statement.")
    if isinstance(tree, exp.Column):
        tree = exp.Paren(this=tree)
    for item in list(tree.find_all(exp.Column)):
        item.replace(column(model, _resolved(item, formula, model)))
    if next(tree.find_all(exp.Column), None) is None and not formula.table:
        raise FormulaRefused("A formula needs a column.")
    return tree


def _resolved(item: exp.Column, formula: Formula, model: SemanticModel) -> ColumnRef:
    name = item.name if item.this.args.get("quoted") else item.name.lower()
    owners = [entity for entity in model.visible if _owns(entity, item, name)]
    own = [entity for entity in owners if entity.key == formula.table]
    owners = own or owners
    if len(owners) != 1:
        known = f"is in {len(owners)} tables" if owners else "is in no table"
        raise FormulaRefused(f"The column {item.sql(dialect=DIALECT)} {known}; write it as table.column.")
    return ColumnRef(owners[0].key, name)


def _owns(entity: Entity, item: exp.Column, name: str) -> bool:
    table, schema = item.table, item.text("db")
    if table and entity.table.lower() != table.lower():
        return False
    found = entity.column(name)
    return found is not None and not found.hidden and (not schema or entity.schema == schema)


def _of_words(formula: Formula, index: SchemaIndex, plan: Plan) -> tuple[exp.Expr, _Read]:
    try:
        return _of_sql(formula.words, formula, index.model), _Read()
    except FormulaRefused:
        pieces = _pieces(formula.words)
    operands: list[tuple[exp.Expr, _Read]] = []
    text = ""
    for piece in pieces:
        if piece in "()+-*/" or _NUMBER.match(piece):
            text += f" {piece.rstrip('%')} "
        else:
            text += f" operand_{len(operands)} "
            operands.append(_operand(piece, formula, index, plan))
    try:
        tree = sqlglot.parse_one(text, dialect=DIALECT)
    except SqlglotError as error:
        raise FormulaRefused(f"Can't read {formula.words!r} as arithmetic.") from error
    summed = any(operand.find(exp.AggFunc) for operand, _ in operands)
    root = exp.Paren(this=tree)
    for item in list(root.find_all(exp.Column)):
        operand = operands[int(item.name.rpartition("_")[2])][0].copy()
        plain = summed and operand.find(exp.AggFunc) is None
        item.replace(exp.Sum(this=operand) if plain else operand)
    for division in list(root.find_all(exp.Div)):
        division.set("this", exp.Cast(this=division.this, to=exp.DataType.build("decimal")))
        division.set("expression", exp.Nullif(this=division.expression, expression=exp.Literal.number(0)))
    words = tuple(word for _, read in operands for word in read.unexplained)
    return root, _Read(all(read.sure for _, read in operands), words)


def _pieces(words: str) -> list[str]:
    """Operators, brackets, numbers, and the phrases between them."""
    for pattern, operator in _SPOKEN_OPERATORS:
        words = pattern.sub(operator, words)
    words = _REMARK.sub("", words)
    return [piece.strip() for piece in _PIECES.split(words) if piece and piece.strip()]


def _operand(phrase: str, formula: Formula, index: SchemaIndex, plan: Plan) -> tuple[exp.Expr, _Read]:
    own = [target for target in index.phrase(phrase.split()) if target.entity == formula.table]
    own = [target for target in own if target.kind == "column" and target.score >= 0.9]
    if own:
        return column(index.model, ColumnRef(own[0].entity, own[0].column or "")), _Read()
    proposal = plan(f"What is the {phrase}?")
    if isinstance(proposal, NoProposal):
        raise FormulaRefused(f"Can't read {phrase!r}: {proposal.reason}")
    found = _figure(sqlglot.parse_one(proposal.sql, dialect=DIALECT), index.model)
    if found is None:
        raise FormulaRefused(f"{phrase!r} is not one figure.")
    return found, _Read(proposal.confident, proposal.unexplained)


def _figure(tree: exp.Expr, model: SemanticModel) -> exp.Expr | None:
    """The one aggregate that a statement shows, its conditions as a filter of it."""
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1:
        return None
    if any(tree.args.get(part) for part in ("group", "having", "limit", "order", "with_", "distinct")):
        return None
    shown = tree.expressions[0].unalias()
    if isinstance(shown, exp.Column):
        entity = next((e for e in model.visible if e.table == shown.table), None)
        found = entity.column(shown.name) if entity else None
        if found is None or found.kind != "number" or found.role != "measure":
            return None
        shown = exp.Sum(this=shown)
    where = tree.args.get("where")
    if tree.find(exp.Subquery, exp.In) is not None or shown.find(exp.AggFunc) is None:
        return None
    if isinstance(shown, exp.Count) and isinstance(shown.this, exp.Star):
        # The row counted has to be named, or it would count those of another table in a join.
        counted = _counted(tree, model)
        shown = exp.Count(this=counted) if counted is not None else shown
    return exp.Filter(this=shown, expression=exp.Where(this=where.this)) if where is not None else shown


def _counted(tree: exp.Select, model: SemanticModel) -> exp.Expr | None:
    table = tree.args["from_"].this
    entity = model.entity(f"{table.db}.{table.name}")
    key = entity.primary_key if entity else ()
    names = key[:1] or tuple(c.name for c in (entity.visible if entity else ()) if c.role == "id")[:1]
    return column(model, ColumnRef(entity.key, names[0])) if entity and names else None


def _tables(tree: exp.Expr, model: SemanticModel) -> list[str]:
    aliases = {
        column(model, ColumnRef(entity.key, "x")).text("table"): entity.key for entity in model.visible
    }
    return [aliases[item.table] for item in tree.find_all(exp.Column)]


def _base(tables: tuple[str, ...], model: SemanticModel) -> str:
    if not tables:
        raise FormulaRefused("A formula needs a column.")
    tree = JoinGraph(model).connect(tables)
    if tree is None:
        raise FormulaRefused(f"No join connects {' and '.join(tables)}.")
    base = next((key for key in tables if not tree.multiplies(key)), None)
    if base is None:
        raise FormulaRefused(f"A join of {' and '.join(tables)} would count rows of each several times.")
    return base
