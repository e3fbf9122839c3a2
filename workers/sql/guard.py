"""What SQL may run: an allow-list over the syntax tree, and the statement written anew from that tree.

The text as it came is never sent to the database. Every kind of node, function, type, table and column has to
be on a list; what is not known is refused: a new feature of PostgreSQL is closed until somebody opens it
here.
"""

import unicodedata
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from contracts.errors import StatementRefused
from workers.catalogue.model import Entity, SemanticModel
from workers.catalogue.words import word_set

DIALECT = "postgres"
MAX_STATEMENT_CHARS = 20_000
MAX_NODES = 2_000
MAX_TABLES = 16
MAX_CROSS_JOIN_ROWS = 5_000_000

_STRUCTURE: tuple[type[exp.Expr], ...] = (
    exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Subquery, exp.With, exp.CTE, exp.From,
    exp.Join, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Offset,
    exp.Distinct, exp.Table, exp.TableAlias, exp.Alias, exp.Column, exp.Identifier, exp.Star,
    exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Tuple, exp.And, exp.Or, exp.Not, exp.Neg, exp.EQ,
    exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In,
    exp.Between, exp.Like, exp.ILike, exp.Exists, exp.Any, exp.All, exp.Add, exp.Sub, exp.Mul, exp.Div,
    exp.Mod, exp.DPipe, exp.Case, exp.If, exp.Cast, exp.DataType, exp.DataTypeParam, exp.Interval,
    exp.Var, exp.Filter, exp.WithinGroup, exp.Window, exp.WindowSpec, exp.Escape,
)  # fmt: skip
_FUNCTIONS: tuple[type[exp.Expr], ...] = (
    exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Stddev, exp.StddevPop, exp.StddevSamp,
    exp.Variance, exp.VariancePop, exp.Median, exp.Mode, exp.PercentileCont, exp.PercentileDisc,
    exp.LogicalAnd, exp.LogicalOr, exp.GroupConcat, exp.Corr, exp.Rank, exp.DenseRank, exp.RowNumber,
    exp.Ntile, exp.PercentRank, exp.CumeDist, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue,
    exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least, exp.Abs, exp.Ceil, exp.Floor, exp.Round,
    exp.Trunc, exp.Sqrt, exp.Pow, exp.Ln, exp.Log, exp.Exp, exp.Sign, exp.Lower, exp.Upper, exp.Initcap,
    exp.Trim, exp.Length, exp.Substring, exp.Left, exp.Right, exp.Concat, exp.ConcatWs, exp.StrPosition,
    exp.Replace, exp.Reverse, exp.SplitPart, exp.Extract, exp.TimestampTrunc, exp.DateTrunc,
    exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.TimeToStr, exp.StrToDate, exp.StrToTime,
    exp.Date, exp.TsOrDsToDate, exp.Case, exp.Cast, exp.StartsWith,
)  # fmt: skip
_FUNCTION_NAMES = frozenset(
    {"age", "make_date", "date_part", "date", "strpos", "char_length", "width_bucket"}
)
_TYPES = word_set(
    """SMALLINT INT BIGINT DECIMAL FLOAT DOUBLE TEXT VARCHAR CHAR BOOLEAN DATE TIME TIMESTAMP TIMESTAMPTZ
    INTERVAL UUID"""
)
_ALLOWED = frozenset((*_STRUCTURE, *_FUNCTIONS))


@dataclass(frozen=True)
class Guarded:
    """A statement that may run. Its result holds at most `row_limit + 1` rows."""

    sql: str
    entities: frozenset[str]


def guard(statement: str, model: SemanticModel, *, row_limit: int) -> Guarded:
    """
    Raises:
        StatementRefused: names what is not allowed, and why.
    """
    tree = _parse(statement)
    _check_nodes(tree)
    _check_ctes(tree)
    _name_tables(tree, model)
    tree = _qualified(tree, model)
    # Once more: resolving names makes nodes of its own, such as a whole row for a table's name.
    _check_nodes(tree)
    _check_stars(tree)
    entities = _check_scopes(tree, model)
    _limit(tree, row_limit + 1)
    _tidy(tree)
    return Guarded(tree.sql(dialect=DIALECT, comments=False), frozenset(entities))


def _parse(statement: str) -> exp.Query:
    if len(statement) > MAX_STATEMENT_CHARS:
        raise StatementRefused(
            f"The statement has {len(statement)} characters; {MAX_STATEMENT_CHARS} at most."
        )
    odd = next((char for char in statement if _is_invisible(char)), None)
    if odd is not None:
        raise StatementRefused(
            f"The statement holds the character {odd!r} ({unicodedata.name(odd, 'control')})."
        )
    try:
        trees = [tree for tree in sqlglot.parse(statement, dialect=DIALECT) if tree is not None]
    except (SqlglotError, RecursionError) as error:
        raise StatementRefused(f"Not a statement that can be read: {_first_line(error)}.") from error
    if len(trees) != 1:
        raise StatementRefused(f"Exactly one statement runs; there are {len(trees)}.")
    tree = trees[0]
    while isinstance(tree, exp.Subquery | exp.Paren) and not tree.args.get("alias"):
        tree = tree.this
    if not isinstance(tree, exp.Select | exp.SetOperation):
        raise StatementRefused(f"Only SELECT runs, not {_kind_of(tree)}.")
    return tree


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Cn") and char not in "\t\n\r"


def _check_nodes(tree: exp.Query) -> None:
    for count, node in enumerate(tree.walk()):
        if count > MAX_NODES:
            raise StatementRefused(f"The statement has more than {MAX_NODES} parts.")
        if isinstance(node, exp.Anonymous):
            if node.name.lower() not in _FUNCTION_NAMES:
                raise StatementRefused(f"The function {node.name.lower()}() is not allowed.")
        elif type(node) not in _ALLOWED:
            raise StatementRefused(f"{_kind_of(node)} is not allowed: {_shown(node)}.")
        _check_details(node)


def _check_details(node: exp.Expr) -> None:
    if isinstance(node, exp.DataType) and node.this.name not in _TYPES:
        raise StatementRefused(f"The type {_shown(node)} is not allowed.")
    if isinstance(node, exp.With) and node.args.get("recursive"):
        raise StatementRefused("WITH RECURSIVE is not allowed: it can run without end.")
    if isinstance(node, exp.Select):
        for part in ("into", "locks", "hint", "kind", "operation_modifiers", "sample", "connect"):
            if node.args.get(part):
                raise StatementRefused(f"SELECT with {part.upper()} is not allowed.")
        if isinstance(node.args.get("distinct"), exp.Distinct) and not node.expressions:
            raise StatementRefused("SELECT without columns is not allowed.")
    if isinstance(node, exp.Table) and node.args.get("only"):
        raise StatementRefused(f"FROM ONLY is not allowed: {_shown(node)}.")
    if isinstance(node, exp.Limit) and not (node.expression is None or _whole_number(node.expression)):
        raise StatementRefused(f"LIMIT takes a whole number, not {_shown(node.expression)}.")
    if isinstance(node, exp.Window) and not isinstance(node.this, exp.Func | exp.Filter | exp.WithinGroup):
        raise StatementRefused(f"A window over {_shown(node.this)} is not allowed.")


def _check_stars(tree: exp.Query) -> None:
    """A star that was not written out stands for a whole row, with its hidden columns: `(c.*)::text`."""
    for star in tree.find_all(exp.Star):
        if not isinstance(star.parent, exp.Count):
            raise StatementRefused(f"A whole row as a value is not allowed: {_shown(star.parent or star)}.")


def _check_ctes(tree: exp.Query) -> None:
    """A WITH name means itself everywhere, so that no name is a CTE to us and a table to PostgreSQL."""
    names = [_folded(cte.args["alias"].this) for cte in tree.find_all(exp.CTE)]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise StatementRefused(f"The WITH name {double!r} is given twice.")
    for clause in tree.find_all(exp.With):
        unknown_yet = [_folded(cte.args["alias"].this) for cte in clause.expressions]
        for cte in clause.expressions:
            used = {_folded(table.this) for table in cte.this.find_all(exp.Table) if not table.args.get("db")}
            early = used & set(unknown_yet)
            if early:
                raise StatementRefused(f"The WITH name {min(early)!r} is used before it is defined.")
            unknown_yet.pop(0)


def _name_tables(tree: exp.Query, model: SemanticModel) -> None:
    """Write the schema of every table out, so that the search path decides nothing."""
    for scope in traverse_scope(tree):
        for table in scope.tables:
            if not table.args.get("db") and _refers_to_cte(table, scope):
                continue
            entity = _entity_of(table, model)
            alias, name = table.args.get("alias"), _folded(table.this)
            if alias is None or not alias.this:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=_quoted(name))))
            table.set("this", exp.to_identifier(entity.table, quoted=_quoted(entity.table)))
            table.set("db", exp.to_identifier(entity.schema, quoted=_quoted(entity.schema)))


def _refers_to_cte(table: exp.Table, scope: Scope) -> bool:
    name = _folded(table.this)
    current: Scope | None = scope
    while current is not None:
        if name in current.cte_sources or any(
            _folded(exp.to_identifier(cte)) == name for cte in current.cte_sources
        ):
            return True
        current = current.parent
    return False


def _entity_of(table: exp.Table, model: SemanticModel) -> Entity:
    if not isinstance(table.this, exp.Identifier):
        raise StatementRefused(f"A function as a table is not allowed: {_shown(table)}.")
    if table.args.get("catalog"):
        raise StatementRefused(f"A table of another database is not allowed: {_shown(table)}.")
    name = _folded(table.this)
    schema = _folded(table.args["db"]) if table.args.get("db") else None
    found = [
        entity
        for entity in model.visible
        if entity.table == name and (schema is None or entity.schema == schema)
    ]
    found = [entity for entity in found if entity.schema == "public"] or found if schema is None else found
    if not found:
        raise StatementRefused(f"The table {_shown(table)} is not in the semantic model.")
    if len(found) > 1:
        schemas = ", ".join(sorted(entity.schema for entity in found))
        raise StatementRefused(f"The table {name!r} is in several schemas ({schemas}); name one.")
    return found[0]


def _qualified(tree: exp.Query, model: SemanticModel) -> exp.Query:
    """Give every column its table and write stars out; a column that no table has is refused."""
    tables: dict[str, dict[str, dict[str, str]]] = {}
    for entity in model.visible:
        columns = {column.name: "text" for column in entity.visible}
        tables.setdefault(entity.schema, {})[entity.table] = columns
    # Names come as PostgreSQL stores them; normalising them again would parse each one.
    schema = MappingSchema(dict(tables), dialect=DIALECT, normalize=False)
    try:
        qualified = qualify(
            tree,
            dialect=DIALECT,
            schema=schema,
            expand_alias_refs=True,
            quote_identifiers=False,
            allow_partial_qualification=False,
            sql=None,
        )
    except (SqlglotError, RecursionError, KeyError, AttributeError) as error:
        raise StatementRefused(f"The statement does not fit the tables: {_first_line(error)}.") from error
    if not isinstance(qualified, exp.Select | exp.SetOperation):
        raise StatementRefused(f"Only SELECT runs, not {_kind_of(qualified)}.")
    return qualified


def _check_scopes(tree: exp.Query, model: SemanticModel) -> set[str]:
    entities: set[str] = set()
    tables = 0
    for scope in traverse_scope(tree):
        for source in scope.sources.values():
            if isinstance(source, exp.Table):
                entity = _entity_of(source, model)
                entities.add(entity.key)
                tables += 1
        for column in scope.columns:
            _check_column(column, scope, model)
        _check_cross_joins(scope, model)
    if tables > MAX_TABLES:
        raise StatementRefused(f"The statement reads {tables} tables; {MAX_TABLES} at most.")
    return entities


def _check_column(column: exp.Column, scope: Scope, model: SemanticModel) -> None:
    current: Scope | None = scope
    while current is not None:
        source = current.sources.get(column.table)
        if isinstance(source, exp.Table):
            entity = _entity_of(source, model)
            known = entity.column(column.name)
            if known is None or known.hidden:
                raise StatementRefused(f"The column {_shown(column)} is not in the semantic model.")
            return
        if source is not None:
            return
        current = current.parent


def _check_cross_joins(scope: Scope, model: SemanticModel) -> None:
    select = scope.expression
    if not isinstance(select, exp.Select):
        return
    loose = [
        join
        for join in select.args.get("joins") or []
        if not (join.args.get("on") or join.args.get("using") or join.method)
    ]
    if not loose or _equalities(select) >= len(loose):
        return
    rows = 1
    for source in scope.sources.values():
        rows *= max(1, _entity_of(source, model).row_estimate) if isinstance(source, exp.Table) else 100
    if rows > MAX_CROSS_JOIN_ROWS:
        raise StatementRefused(f"A join without a condition would make about {rows:,} rows.")


def _equalities(select: exp.Select) -> int:
    """Conditions of the WHERE clause that compare two columns, as an old-style join has them."""
    where = select.args.get("where")
    if where is None:
        return 0
    return sum(
        isinstance(equal.left, exp.Column) and isinstance(equal.right, exp.Column)
        for equal in where.find_all(exp.EQ)
    )


def _limit(tree: exp.Query, most: int) -> None:
    if tree.args.get("fetch"):
        raise StatementRefused("FETCH FIRST is not allowed; use LIMIT.")
    given = tree.args.get("limit")
    if isinstance(given, exp.Limit) and given.expression is not None:
        most = min(most, int(given.expression.name))
    tree.set("limit", exp.Limit(expression=exp.Literal.number(most)))


def _tidy(tree: exp.Query) -> None:
    """Drop names that repeat: people read the statement beside the answer."""
    for alias in list(tree.find_all(exp.Alias)):
        if isinstance(alias.this, exp.Column) and alias.this.name == alias.alias:
            alias.replace(alias.this)
    for table in tree.find_all(exp.Table):
        given = table.args.get("alias")
        if given is not None and given.name == table.name and not given.args.get("columns"):
            table.set("alias", None)


def _whole_number(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit()


def _folded(identifier: exp.Expr) -> str:
    """A name as PostgreSQL sees it: lower case unless quoted."""
    return identifier.name if identifier.args.get("quoted") else identifier.name.lower()


def _quoted(name: str) -> bool:
    return not (name.isidentifier() and name.isascii() and name == name.lower())


def _kind_of(node: exp.Expr) -> str:
    return type(node).__name__.upper()


def _shown(node: exp.Expr) -> str:
    text = node.sql(dialect=DIALECT, comments=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")
