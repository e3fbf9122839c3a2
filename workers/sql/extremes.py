"""The row with the most of something, of which a figure about another table is asked.

`how many concerts are there in the hall with the most seats`: the hall is found first, then counted in.
"""

from collections.abc import Sequence

from sqlglot import exp

from workers.catalogue.model import SemanticModel
from workers.sql.measures import Superlative
from workers.sql.plan import Draft, Measure, column, identifier
from workers.sql.resolution import ColumnRef


def extreme_row(
    draft: Draft, model: SemanticModel, superlatives: Sequence[Superlative], measures: Sequence[Measure]
) -> exp.Expr | None:
    """The condition that holds for that row alone; None where the question is of another kind."""
    if len(superlatives) != 1 or not measures:
        return None
    item = superlatives[0]
    if item.ref is None or item.measure is not None or item.frequency or item.limit != 1:
        return None
    entity = model.by_key[item.ref.entity]
    own = any(measure.table == entity.key or measure.function == "value" for measure in measures)
    if own or len(entity.primary_key) != 1:
        return None
    draft.need(entity.key)
    key = entity.primary_key[0]
    order = exp.Ordered(this=exp.column(identifier(item.ref.column)), desc=item.descending, nulls_first=False)
    found = exp.Select().select(exp.column(identifier(key)))
    found = found.from_(exp.Table(this=identifier(entity.table), db=identifier(entity.schema)))
    found = found.order_by(order).limit(1)
    return exp.EQ(this=column(model, ColumnRef(entity.key, key)), expression=exp.Subquery(this=found))
