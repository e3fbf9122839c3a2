"""A statement under construction and how it becomes SQL."""

from dataclasses import dataclass, field

from sqlglot import exp

from workers.catalogue.model import Join, SemanticModel
from workers.sql.joins import JoinGraph, JoinTree
from workers.sql.resolution import ColumnRef


class Unplannable(Exception):
    """The question needs something that the planner can't build; the message says what."""


@dataclass(frozen=True)
class Measure:
    """An aggregate at tokens `first` to `last`: of a column, or the count of an entity's rows."""

    first: int
    last: int
    function: str
    ref: ColumnRef | None = None
    entity: str | None = None
    distinct: bool = False

    @property
    def table(self) -> str:
        return self.ref.entity if self.ref is not None else self.entity or ""


@dataclass
class Draft:
    """Parts of one SELECT, in any order."""

    model: SemanticModel
    outputs: list[exp.Expr] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    where: list[exp.Expr] = field(default_factory=list)
    group: list[exp.Expr] = field(default_factory=list)
    having: list[exp.Expr] = field(default_factory=list)
    order: list[exp.Expr] = field(default_factory=list)
    limit: int | None = None
    distinct: bool = False

    def need(self, *entities: str) -> None:
        self.tables += [entity for entity in entities if entity and entity not in self.tables]

    def column(self, ref: ColumnRef) -> exp.Expr:
        self.need(ref.entity)
        return column(self.model, ref)

    def output(self, item: exp.Expr) -> None:
        if all(_bare(item) != _bare(known) for known in self.outputs):
            self.outputs.append(item)


def _bare(item: exp.Expr) -> exp.Expr:
    return item.this if isinstance(item, exp.Alias) else item


def alias_of(model: SemanticModel, key: str) -> str:
    """The table's name where it is the only one of that name, else with its schema."""
    entity = model.by_key[key]
    twins = [other for other in model.visible if other.table == entity.table]
    return entity.table if len(twins) == 1 else f"{entity.schema}_{entity.table}"


def identifier(name: str) -> exp.Identifier:
    return exp.to_identifier(
        name, quoted=not (name.isidentifier() and name.isascii() and name == name.lower())
    )


def column(model: SemanticModel, ref: ColumnRef) -> exp.Expr:
    return exp.Column(this=identifier(ref.column), table=identifier(alias_of(model, ref.entity)))


def table(model: SemanticModel, key: str) -> exp.Table:
    entity = model.by_key[key]
    named = exp.Table(this=identifier(entity.table), db=identifier(entity.schema))
    named.set("alias", exp.TableAlias(this=identifier(alias_of(model, key))))
    return named


def measure_expression(model: SemanticModel, measure: Measure, tree: JoinTree | None) -> exp.Expr:
    """The aggregate; rows that a join repeats are counted once."""
    if measure.function == "count":
        return _count(model, measure, tree)
    if measure.ref is None:
        raise Unplannable("an aggregate without a column")
    argument = column(model, measure.ref)
    if measure.function == "median":
        order = exp.Order(expressions=[exp.Ordered(this=argument)])
        return exp.WithinGroup(this=exp.PercentileCont(this=exp.Literal.number("0.5")), expression=order)
    functions: dict[str, type[exp.Expr]] = {"sum": exp.Sum, "avg": exp.Avg, "min": exp.Min, "max": exp.Max}
    return functions[measure.function](this=argument)


def _count(model: SemanticModel, measure: Measure, tree: JoinTree | None) -> exp.Expr:
    if measure.ref is not None:
        inner = column(model, measure.ref)
        return exp.Count(this=exp.Distinct(expressions=[inner]) if measure.distinct else inner)
    repeated = tree is not None and measure.entity is not None and tree.multiplies(measure.entity)
    key = model.by_key[measure.entity].primary_key if measure.entity else ()
    if repeated and len(key) == 1 and measure.entity:
        inner = column(model, ColumnRef(measure.entity, key[0]))
        return exp.Count(this=exp.Distinct(expressions=[inner]))
    return exp.Count(this=exp.Star())


def measure_name(model: SemanticModel, measure: Measure) -> str:
    if measure.ref is not None:
        prefix = "count" if measure.function == "count" else measure.function
        return f"{prefix}_{measure.ref.column}"
    return f"{model.by_key[measure.entity].table}_count" if measure.entity else "count"


def render(draft: Draft, graph: JoinGraph, hints: frozenset[str]) -> tuple[exp.Select, JoinTree]:
    """
    Raises:
        Unplannable: nothing to select, or tables that no join connects.
    """
    if not draft.outputs or not draft.tables:
        raise Unplannable("nothing to select")
    tree = graph.connect(draft.tables, hints)
    if tree is None:
        raise Unplannable("tables that no join connects")
    select = exp.Select().select(*draft.outputs).from_(table(draft.model, tree.first))
    for step in tree.steps:
        select = select.join(table(draft.model, step.entity), on=condition_of(draft.model, step.join))
    if draft.where:
        select = select.where(*draft.where)
    if draft.group:
        select = select.group_by(*draft.group)
    if draft.having:
        select = select.having(*draft.having)
    if draft.distinct:
        select = select.distinct()
    if draft.order:
        select = select.order_by(*draft.order)
    return (select.limit(draft.limit) if draft.limit else select), tree


def condition_of(model: SemanticModel, join: Join) -> exp.Expr:
    pairs = [
        exp.EQ(
            this=column(model, ColumnRef(join.left, a)), expression=column(model, ColumnRef(join.right, b))
        )
        for a, b in join.columns
    ]
    return exp.and_(*pairs)
