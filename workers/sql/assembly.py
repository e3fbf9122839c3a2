"""The parts of a question put together into one SELECT."""

from typing import TYPE_CHECKING

from sqlglot import exp

from workers.sql.measures import Superlative
from workers.sql.ordering import Group, Order
from workers.sql.plan import (
    Draft,
    Measure,
    Unplannable,
    identifier,
    measure_expression,
    measure_name,
    render,
)
from workers.sql.resolution import ColumnRef
from workers.sql.superlatives import ALL_ROWS

if TYPE_CHECKING:
    from workers.sql.question import Question

EACH = frozenset({"each", "every", "per"})


class Assembly:
    """Puts the parts that were found into a SELECT."""

    def __init__(
        self, question: "Question", draft: Draft, shown: list[ColumnRef], measures: list[Measure]
    ) -> None:
        self.question, self.draft, self.shown, self.measures = question, draft, shown, measures
        self.model, self.resolver = question.model, question.resolver
        tree = question.graph.connect(draft.tables, question.reading.roots)
        self.tree = tree

    def select(self) -> exp.Select:
        draft = self.draft
        best = best_of_groups(self.question, self.measures)
        if best is not None:
            return self._ranked(best)
        units = [group for group in self.question.groups if group.unit is not None]
        buckets = [self._bucket(group) for group in units]
        for bucket in buckets:
            draft.output(bucket)
        hidden = self._hidden()
        for ref in self.shown:
            if ref not in hidden:
                draft.output(draft.column(ref))
        for measure in self.measures:
            draft.output(self._measure_output(measure))
        if self._asks_frequency():
            draft.output(exp.alias_(exp.Count(this=exp.Star()), "count"))
        frequency = any(item.frequency for item in self.question.superlatives)
        grouping = [item for item in self.question.nested if item.number is not None]
        if self._aggregates() or frequency or grouping or self.question.count_conditions:
            self._group(buckets)
        self._having()
        self._order(buckets)
        self._distinct()
        select, _ = render(draft, self.question.graph, self.question.reading.roots)
        return select

    def _ranked(self, best: Superlative) -> exp.Select:
        """`the most expensive product of each category`: the first of each group; equals share a place."""
        draft, groups = self.draft, self.question.groups
        grouped = [ref for group in groups for ref in self.question.group_refs(group)]
        focus = self.resolver.focus or ""
        named = any(ref.entity == focus and ref not in grouped for ref in self.shown)
        shown = [*self.shown, *(() if named else self.resolver.naming(focus))]
        for ref in dict.fromkeys([*(ref for ref in grouped if ref not in shown), *shown]):
            draft.output(exp.alias_(draft.column(ref), f"column_{len(draft.outputs) + 1}"))
        key = self._superlative_key(best)
        if best.measure is not None:
            self.shown = shown
            self._group([])
        keys = [
            draft.column(ref)
            for group in groups
            for ref in (
                group.refs or [ColumnRef(group.entity or "", name) for name in self._key_of(group.entity)]
            )
        ]
        order = exp.Order(expressions=[_ordered(key or exp.null(), descending=best.descending)])
        rank = exp.Window(this=exp.Rank(), partition_by=keys, order=order)
        names = [(item.alias, item.this.name) for item in draft.outputs]
        draft.outputs.append(exp.alias_(rank, "place"))
        inner, _ = render(draft, self.question.graph, self.question.reading.roots)
        limit = best.limit if best.limit > 1 else self.question.asked_rows()
        columns = [exp.alias_(exp.column(alias, table="ranked"), identifier(name)) for alias, name in names]
        place = exp.LTE(this=exp.column("place", table="ranked"), expression=exp.Literal.number(limit))
        return exp.Select().select(*columns).from_(inner.subquery("ranked")).where(place)

    def _key_of(self, entity: str | None) -> tuple[str, ...]:
        return self.model.by_key[entity].primary_key if entity else ()

    def _hidden(self) -> list[ColumnRef]:
        """`how many customers has the type with the most customers`: the number alone is asked for."""
        words = self.question.reading.words
        counts = [m for m in self.measures if m.function == "count" and m.first <= 2]
        best = [item for item in self.question.superlatives if item.measure or item.frequency]
        sentence = next((at for at, word in enumerate(words) if word in (".", "?", ";")), len(words))
        if not counts or not best or any(self.question.reading.at(at) for at in range(sentence, len(words))):
            return []
        return self.shown

    def _asks_frequency(self) -> bool:
        """`the most common statuses and their counts`."""
        reading = self.question.reading
        places = [at for at, word in enumerate(reading.words) if word in ("counts", "count", "frequency")]
        if not places or self.measures or not any(item.frequency for item in self.question.superlatives):
            return False
        reading.explain(places)
        return True

    def _aggregates(self) -> bool:
        ordered = [
            order for order in self.question.orders if order.measure and order.measure.function != "value"
        ]
        superlative = [item for item in self.question.superlatives if item.measure]
        return bool([m for m in self.measures if m.function != "value"] or ordered or superlative)

    def _measure(self, measure: Measure) -> exp.Expr:
        if measure.function == "value" and measure.ref:
            if self.shown or self.question.groups or not self.measures:
                return exp.Sum(this=self.draft.column(measure.ref))
            return exp.Sum(this=self.draft.column(measure.ref))
        return measure_expression(self.model, measure, self.tree)

    def _measure_output(self, measure: Measure) -> exp.Expr:
        return exp.alias_(self._measure(measure), measure_name(self.model, measure))

    def _bucket(self, group: Group) -> exp.Expr:
        """`per month`: the date column of the tables in question, cut to the unit."""
        ref = self._date_column(group)
        column = self.draft.column(ref)
        unit = group.unit or "day"
        if self.resolver.column(ref).kind == "number":
            return column
        if unit == "day":
            return exp.alias_(exp.Cast(this=column, to=exp.DataType.build("date")), "day")
        cut = exp.TimestampTrunc(this=column, unit=exp.Var(this=unit.upper()))
        return exp.alias_(exp.Cast(this=cut, to=exp.DataType.build("date")), unit)

    def _date_column(self, group: Group) -> ColumnRef:
        near = [c.ref for c in self.question.conditions if c.moment is not None]
        if near:
            return near[0]
        for key in dict.fromkeys((*(m.table for m in self.measures), *self.draft.tables)):
            columns = self.resolver.entity(key).visible if key else ()
            for column in columns:
                if group.unit == "year" and column.kind == "number" and column.name.lower().endswith("year"):
                    return ColumnRef(key, column.name)
            dates = [column for column in columns if column.kind in ("date", "timestamp")]
            plain = [
                c for c in dates if not c.name.lower().startswith(("created", "updated", "crtd", "modified"))
            ]
            if dates:
                self.resolver.doubts += len(plain or dates) > 1
                return ColumnRef(key, (plain or dates)[0].name)
        raise Unplannable("no date to group by")

    def _group(self, buckets: list[exp.Expr]) -> None:
        draft = self.draft
        items = [bucket.this if isinstance(bucket, exp.Alias) else bucket for bucket in buckets]
        items += [draft.column(ref) for ref in self.shown]
        for group in self.question.groups:
            items += [draft.column(ref) for ref in group.refs]
        counted = {m.table for m in self.measures if m.function == "count" and m.ref is None}
        for key in self._row_entities():
            if key not in counted:
                items += [draft.column(ColumnRef(key, name)) for name in self.model.by_key[key].primary_key]
        for item in items:
            if item not in draft.group:
                draft.group.append(item)

    def _row_entities(self) -> list[str]:
        """Tables whose single rows are the groups: those that are shown by name or key."""
        found = [group.entity for group in self.question.groups if group.entity]
        for ref in self.shown:
            entity = self.model.by_key[ref.entity]
            if ref.column in entity.display or (ref.column,) == entity.primary_key:
                found.append(ref.entity)
        return list(dict.fromkeys(found))

    def _having(self) -> None:
        for condition in self.question.count_conditions:
            self._doubt_single(condition.entity)
            measure = Measure(0, 0, "count", entity=condition.entity)
            count = exp.Count(this=exp.Star()) if condition.entity is None else self._measure(measure)
            self.draft.having.append(_compared(condition.operator, count, condition.number))
        for item in self.question.nested:
            self.draft.having += item.having(self.draft)

    def _doubt_single(self, entity: str | None) -> None:
        """Of something that each row has one of, there are never two: the question means another table."""
        focus = self.resolver.focus
        if (
            entity is not None
            and focus not in (None, entity)
            and self.tree
            and not self.tree.multiplies(focus or "")
        ):
            self.resolver.doubts += 1

    def _order(self, buckets: list[exp.Expr]) -> None:
        for item in self.question.superlatives:
            key = self._superlative_key(item)
            if key is not None:
                self.draft.order.append(_ordered(key, descending=item.descending))
            if item.limit != ALL_ROWS:
                self.draft.limit = item.limit if item.limit > 1 else self.question.asked_rows()
        for order in self.question.orders:
            key = self._order_key(order)
            if key is not None:
                self.draft.order.append(_ordered(key, descending=order.descending))
        if not self.draft.order and buckets:
            first = buckets[0]
            self.draft.order.append(
                _ordered(first.this if isinstance(first, exp.Alias) else first, descending=False)
            )

    def _superlative_key(self, item: Superlative) -> exp.Expr | None:
        if item.frequency:
            return exp.Count(this=exp.Star())
        if item.measure is not None:
            return self._measure(item.measure)
        if item.ref is not None:
            column = self.draft.column(item.ref)
            grouped_by = self.draft.group and column not in self.draft.group
            return exp.Sum(this=column) if grouped_by else column
        if self.measures:
            return self._measure(self.measures[-1])
        return None

    def _order_key(self, order: Order) -> exp.Expr | None:
        if order.measure is not None and order.measure.function != "value":
            return self._measure(order.measure)
        if order.ref is not None:
            column = self.draft.column(order.ref)
            if self.draft.group and column not in self.draft.group:
                same = next((m for m in self.measures if m.ref == order.ref), None)
                return self._measure(same) if same else exp.Max(this=column)
            return column
        if self.measures and order.descending:
            return self._measure(self.measures[-1])
        return self.draft.column(self.shown[0]) if self.shown else None

    def _distinct(self) -> None:
        draft, words = self.draft, self.question.reading.words
        if draft.group or self.measures or (draft.order and draft.limit):
            return
        asked = bool({"distinct", "different", "unique"} & set(words))
        shown = {ref.entity for ref in self.shown}
        repeated = (
            self.tree is not None and any(self.tree.multiplies(key) for key in shown) and len(shown) == 1
        )
        draft.distinct = (asked or repeated) and self._orders_by_shown()

    def _orders_by_shown(self) -> bool:
        """SELECT DISTINCT can be sorted by shown columns only."""
        shown = [item.this if isinstance(item, exp.Alias) else item for item in self.draft.outputs]
        return all(order.this in shown for order in self.draft.order)


def best_of_groups(question: "Question", measures: list[Measure]) -> Superlative | None:
    """The superlative of a question for the best rows of each group, where it asks for that."""
    asked = [item for item in question.superlatives if item.ref is not None or item.measure is not None]
    grouped_by = {group.entity for group in question.groups}
    if len(asked) != 1 or len(question.superlatives) != 1 or not question.groups or measures:
        return None
    said = EACH & set(question.reading.words)
    units = [group for group in question.groups if group.unit is not None]
    if (
        not said
        or units
        or question.count_conditions
        or question.nested
        or question.resolver.focus in grouped_by
    ):
        return None
    return asked[0]


def _ordered(key: exp.Expr, *, descending: bool) -> exp.Ordered:
    return exp.Ordered(this=key, desc=descending, nulls_first=False)


def _compared(operator: str, left: exp.Expr, number: float) -> exp.Expr:
    kinds: dict[str, type[exp.Binary]] = {
        "=": exp.EQ, "<>": exp.NEQ, ">": exp.GT, ">=": exp.GTE, "<": exp.LT, "<=": exp.LTE,
    }  # fmt: skip
    return kinds[operator](this=left, expression=exp.Literal.number(repr(number)))
