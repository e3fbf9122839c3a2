"""One pass over one question: what each of its words stands for."""

from itertools import pairwise

from sqlglot import exp

from workers.catalogue.model import SemanticModel
from workers.catalogue.words import root, split_identifier
from workers.sql.assembly import EACH, Assembly
from workers.sql.condition import Condition, CountCondition
from workers.sql.conditions import find_conditions
from workers.sql.coverage import Coverage
from workers.sql.dates import number_of
from workers.sql.exclusion import Exclusion, exclusion_predicate, find_exclusions
from workers.sql.extremes import extreme_row
from workers.sql.joins import JoinGraph
from workers.sql.measures import MEASURING, Superlative, find_aggregates, find_counts
from workers.sql.nesting import find_average_comparisons
from workers.sql.ordering import Group, find_groups, find_orders
from workers.sql.plan import Draft, Measure, Unplannable, column
from workers.sql.predicates import either, grouped, predicates
from workers.sql.proposal import Proposal
from workers.sql.reading import Mention, Reading
from workers.sql.remarks import flag, happened, is_possession, state_remarks
from workers.sql.resolution import ColumnRef, Resolver
from workers.sql.sexes import find_sexes
from workers.sql.subselects import Subselect, find_subselects
from workers.sql.superlatives import find_superlatives
from workers.sql.suspicion import suspicions

DIALECT = "postgres"
_FAINT = 0.7


class Question:
    """One pass over one question."""

    def __init__(self, model: SemanticModel, graph: JoinGraph, reading: Reading) -> None:
        self.model, self.graph, self.reading = model, graph, reading
        self.resolver = Resolver(model, graph, reading)
        self.resolver.focus = self._focus()
        self.counts = find_counts(reading, self.resolver)
        self._take(self.counts)
        self.subselects = find_subselects(reading, self.resolver)
        self.nested = find_average_comparisons(reading, self.resolver)
        self.joined_by: set[str] = set()
        self.shown: list[ColumnRef] = []
        self.aggregates = find_aggregates(reading, self.resolver)
        self.superlatives = find_superlatives(reading, self.resolver, self.counts, self.aggregates)
        self._opposites()
        self.aggregates = [m for m in self.aggregates if not self._in_superlative(m)]
        self.counts = [m for m in self.counts if not self._in_superlative(m)]
        self._take(self.aggregates)
        self.orders = find_orders(reading, self.resolver, [*self.counts, *self.aggregates])
        ordered = [order.measure for order in self.orders if order.measure]
        self.counts = [m for m in self.counts if m not in ordered]
        self.aggregates = [m for m in self.aggregates if m not in ordered]
        self._aggregates_or_superlatives()
        ranked = bool(self.superlatives) and bool(EACH & set(reading.words))
        aggregated = bool(self.measures() or ordered or ranked)
        self.groups = self._real_groups(find_groups(reading, self.resolver, aggregated=aggregated))
        self.exclusions = find_exclusions(reading, self.resolver)
        # `from Oslo or never ordered`: conditions and exclusions are joined by AND here.
        before = (reading.words[max(0, item.first - 2) : item.first + 1] for item in self.exclusions)
        self.resolver.doubts += sum("or" in words for words in before)
        found = find_conditions(reading, self.resolver)
        said = find_sexes(reading, self.resolver)
        self.conditions = [*said, *(c for c in found if isinstance(c, Condition))]
        self.count_conditions = [c for c in found if isinstance(c, CountCondition)]

    def _real_groups(self, groups: list[Group]) -> list[Group]:
        """`the average minutes per trip for each plan`: per trip is what an average is anyway."""
        measured = {m.ref.entity for m in self.aggregates + self.counts if m.ref and m.function == "avg"}
        kept = [group for group in groups if group.entity not in measured]
        return kept if kept else groups

    def _focus(self) -> str | None:
        """What the question is about: the first table outside `number of ...`, else the first of all."""
        entities = [m for m in self.reading.mentions if m.kind == "entity"]
        entities = [m for m in entities if not self._is_listed(m)] or entities
        asked = [m for m in entities if not self._is_counted(m) and not self._is_missing(m)]
        merged = [m for m in self.reading.mentions if m.kind in ("name", "id") and m.of("entity")]
        if merged and (not entities or merged[0].first < entities[0].first) and not asked:
            return self.resolver.entity_of(merged[0])
        alone = entities and self._is_counted(entities[0]) and not self._is_grouped()
        first = entities[0] if alone else next(iter(asked or entities), None)
        if first is not None:
            return self.resolver.entity_of(first)
        columns = [m for m in self.reading.mentions if m.kind == "column" and not m.weak]
        ref = self.resolver.column_of(columns[0].of("column"), {}) if columns else None
        if ref is None:
            values = [m for m in self.reading.mentions if m.of("value")]
            found = self.resolver.value_of(values[0]) if values else None
            return found[0].entity if found else None
        return ref.entity

    def _is_grouped(self) -> bool:
        """Whether something is asked for each of several things, or of the one with the most."""
        return bool({"each", "every", "per", "most", "fewest", "highest", "top"} & set(self.reading.words))

    def _is_missing(self, mention: Mention) -> bool:
        """`without any concert`, `have no orders`, `never placed an order`."""
        before = self.reading.words[max(0, mention.first - 4) : mention.first]
        return bool({"without", "no", "never", "not", "except"} & set(before))

    def _is_counted(self, mention: Mention) -> bool:
        before = self.reading.phrase(mention.first - 4, mention.first)
        if any(phrase in before for phrase in ("number of", "how many", "count of")):
            return True
        return self.reading.word(mention.first - 1) in ("most", "fewest", "least")

    def _opposites(self) -> None:
        """`the longest and the shortest`: both ends of one column are two numbers, not two orders."""
        ends = [item for item in self.superlatives if item.ref is not None and item.limit == 1]
        if len(ends) != 2 or ends[0].ref != ends[1].ref or ends[0].descending == ends[1].descending:
            return
        self.superlatives = [item for item in self.superlatives if item not in ends]
        for item in ends:
            function = "max" if item.descending else "min"
            self.aggregates.append(Measure(item.first, item.last, function, ref=item.ref))
        for mention in self.reading.free("column"):
            if any(target.column == ends[0].ref.column for target in mention.targets if ends[0].ref):
                self.reading.use(mention)

    def _take(self, measures: list[Measure]) -> None:
        for measure in measures:
            span = range(measure.first, measure.last)
            # `how many churned customers`: what no word of measuring says needs a place of its own.
            self.reading.explain(at for at in span if self.reading.words[at] in MEASURING)
            for mention in self.reading.mentions:
                inside = measure.first <= mention.first and mention.last <= measure.last
                if inside and mention.kind in ("entity", "column"):
                    self.reading.use(mention)

    def _in_superlative(self, measure: Measure) -> bool:
        return any(
            item.measure == measure or (item.first <= measure.first < item.last) for item in self.superlatives
        )

    def measures(self) -> list[Measure]:
        return sorted((*self.counts, *self.aggregates), key=lambda m: m.first)

    def _aggregates_or_superlatives(self) -> None:
        """`the name and the highest price`: with other things shown, highest means the row that has it."""
        extremes = [m for m in self.aggregates if m.function in ("max", "min")]
        if len(extremes) != 1 or self.superlatives:
            return
        extreme = extremes[0]
        shown = [
            m for m in self.reading.free("column", "name", "id") if not m.weak and m.last <= extreme.first
        ]
        each = {"each", "every", "per"} & set(self.reading.words)
        if not shown or each or extreme.ref is None or self._by_after(extreme):
            return
        self.aggregates.remove(extreme)
        item = Superlative(extreme.first, extreme.last, extreme.function == "max", 1, ref=extreme.ref)
        self.superlatives.append(item)

    def _by_after(self, measure: Measure) -> bool:
        return "by" in self.reading.words[measure.last : measure.last + 3]

    def propose(self) -> Proposal:
        both = self._both()
        tree: exp.Query
        if both is not None:
            selects = [self._anew([*rest, *one]) for rest, one in both]
            tree = (
                self._counted_once(selects) if self.measures() else exp.intersect(*selects, dialect=DIALECT)
            )
        else:
            tree = self._select(self.conditions)
        coverage = Coverage(self.reading, self.resolver, frozenset(self.joined_by))
        unexplained = coverage.unexplained()
        share = coverage.share(unexplained)
        confident = not unexplained and self.resolver.doubts == 0 and not self._is_mixed()
        return Proposal(tree.sql(dialect=DIALECT), round(share, 3), confident, tuple(unexplained))

    def asked_rows(self) -> int:
        """`the three products that have the most ...`"""
        for mention in self.reading.mentions:
            if mention.kind == "entity" and self.resolver.entity_of(mention) == self.resolver.focus:
                number = number_of(self.reading.tokens[mention.first - 1]) if mention.first else None
                if isinstance(number, int) and number > 0:
                    self.reading.explain([mention.first - 1])
                    return number
                return 1
        return 1

    def _anew(self, conditions: list[Condition]) -> exp.Select:
        """One SELECT of several over the same question: what it shows is not used up."""
        used = set(self.reading.used)
        select = self._select(conditions)
        self.reading.used = used
        return select

    def _is_mixed(self) -> bool:
        """Whether two tables are asked for at once (`customers and staff`), or one in groups of another."""
        entities = [m for m in self.reading.mentions if m.kind == "entity"]
        for one, other in pairwise(entities):
            between = self.reading.words[one.last : other.first]
            if (
                between
                and between[0] == "and"
                and set(between) <= {"and", "all", "the"}
                and not self.measures()
            ):
                return True
        grouped_by = {
            group.entity or group.refs[0].entity for group in self.groups if group.entity or group.refs
        }
        named = [ref for ref in self.shown if ref.column in self.model.by_key[ref.entity].display]
        return bool(grouped_by) and any(ref.entity not in grouped_by for ref in named)

    def _both(self) -> list[tuple[list[Condition], list[Condition]]] | None:
        """`both A and B`: what fulfils A and, in another row, B."""
        if "both" not in self.reading.words or (self.measures() and not self._counts_focus()):
            return None
        groups = grouped(self._outer_conditions())
        several = next((group for group in groups if len(group) > 1), None)
        if several is None:
            return None
        self.reading.explain([self.reading.words.index("both")])
        rest = [c for group in groups if group is not several for person in group for c in person]
        return [(rest, person) for person in several]

    def _counts_focus(self) -> bool:
        """Whether nothing but the rows of one table, with a key of one column, is counted."""
        counts = self.measures()
        entity = counts[0].entity if len(counts) == 1 and not self.groups else None
        return entity is not None and len(self.model.by_key[entity].primary_key) == 1

    def _counted_once(self, selects: list[exp.Select]) -> exp.Select:
        """How many keys all of the statements have in common."""
        entity = self.measures()[0].entity or ""
        key = column(self.model, ColumnRef(entity, self.model.by_key[entity].primary_key[0]))
        keys = [select.select(key.copy(), append=False) for select in selects]
        common = exp.intersect(*keys, dialect=DIALECT).subquery("common")
        return exp.Select().select(exp.Count(this=exp.Star())).from_(common)

    def _outer_conditions(self) -> list[Condition]:
        return [c for c in self.conditions if not self._is_within(c)]

    def _is_within(self, item: Condition | Mention) -> bool:
        """Whether it belongs to what is left out, or to the rows that others are compared with."""
        inner: list[Exclusion | Subselect] = [*self.exclusions, *self.subselects]
        return any(part.first <= item.first < part.last for part in inner)

    def _select(self, conditions: list[Condition]) -> exp.Select:
        draft = Draft(self.model)
        measures = self.measures()
        shown = self.shown = self._shown(measures)
        inner = [c for c in self.conditions if self._is_within(c)]
        outer = [c for c in conditions if c not in inner]
        for ref in shown:
            draft.column(ref)
        for measure in measures:
            draft.need(measure.table)
        draft.where += either(self.reading, self.resolver, outer, predicates(draft, self.resolver, outer))
        draft.where += [nested.predicate(draft) for nested in self.nested]
        for item in self.subselects:
            own = [c for c in inner if item.first <= c.first < item.last]
            draft.where.append(item.predicate(draft, self.graph, self.resolver, own))
        self._exist(draft)
        state_remarks(self, draft)
        for exclusion in self.exclusions:
            draft.where.append(self._excluded(draft, exclusion, inner))
        extreme = (
            None if self.groups or shown else extreme_row(draft, self.model, self.superlatives, measures)
        )
        if extreme is not None:
            draft.where.append(extreme)
            self.superlatives = []
        self._need_measured(draft)
        tree = self.graph.connect(draft.tables, self.reading.roots)
        if tree is None:
            raise Unplannable("tables that no join connects")
        self.resolver.doubts += tree.ambiguous + suspicions(self)
        for step in tree.steps:
            self.joined_by |= {root(word) for left, _ in step.join.columns for word in split_identifier(left)}
        return Assembly(self, draft, shown, measures).select()

    def _excluded(self, draft: Draft, item: Exclusion, inner: list[Condition]) -> exp.Expr:
        conditions = [c for c in inner if item.first <= c.first < item.last]
        subject = self.resolver.focus or draft.tables[0]
        draft.need(subject)
        return exclusion_predicate(self.model, self.graph, self.resolver, subject, (item.entity, conditions))

    def _need_measured(self, draft: Draft) -> None:
        for item in self.superlatives:
            draft.need(item.measure.table if item.measure else item.ref.entity if item.ref else "")
        for order in self.orders:
            draft.need(order.measure.table if order.measure else order.ref.entity if order.ref else "")
        for group in self.groups:
            draft.need(group.entity or "", *(ref.entity for ref in group.refs))
        for condition in self.count_conditions:
            draft.need(condition.entity or "")

    def _exist(self, draft: Draft) -> None:
        """Tables that are only mentioned: there has to be a row of them."""
        if not draft.tables and self.resolver.focus:
            draft.need(self.resolver.focus)
        inside = [(e.first, e.last) for e in self.exclusions]
        for mention in self.reading.free("entity"):
            if not any(first <= mention.first < last for first, last in inside):
                self.reading.use(mention)
                entity = self.resolver.entity_of(mention)
                if not self._is_said_by_column(draft, mention, entity):
                    draft.need(entity)

    def _is_said_by_column(self, draft: Draft, mention: Mention, entity: str) -> bool:
        """A weaker name of a table that is there already adds nothing."""
        best = max(target.score for target in mention.of("entity"))
        return best < 0.8 and any(target.entity in draft.tables for target in mention.of("entity"))

    def _shown(self, measures: list[Measure]) -> list[ColumnRef]:
        refs: list[ColumnRef] = []
        measured = {measure.ref for measure in measures}
        for mention in self.reading.free("column", "name", "id", "all", "date"):
            if is_possession(self, mention) or mention.weak or self._is_within(mention):
                continue
            if flag(self, mention) is not None:
                continue
            found = self.resolver.columns_of(mention)
            if found:
                self._doubt_faint(mention)
                self.reading.use(mention)
                refs += [ref for ref in found if ref not in refs and ref not in measured]
        refs += [ref for ref in happened(self) if ref not in refs]
        if refs:
            refs += [ref for ref in self._listed() if ref not in refs]
        grouped_by = [ref for group in self.groups for ref in self.group_refs(group) if ref]
        if measures and not refs and not grouped_by and self.superlatives and self._names_focus():
            return list(self.resolver.naming(self.resolver.focus or ""))
        if measures and not refs:
            return list(dict.fromkeys(grouped_by))
        if not refs and not measures and self.resolver.focus:
            return list(self.resolver.naming(self.resolver.focus))
        if measures and grouped_by and not self._named_of_groups(refs):
            refs = [*refs, *(ref for ref in grouped_by if ref not in refs)]
        return refs

    def _names_focus(self) -> bool:
        """`which author had the most ...`: asks for the author beside the number."""
        return self.resolver.focus is not None and self.reading.words[0] in ("which", "who", "what")

    def _doubt_faint(self, mention: Mention) -> None:
        """A column that only a part of the words names may be another one."""
        if mention.kind == "column" and max(t.score for t in mention.of("column")) < _FAINT:
            self.resolver.doubts += 1

    def _listed(self) -> list[ColumnRef]:
        """`the first name, department and city of`: a table in a list of columns is shown by its name."""
        refs: list[ColumnRef] = []
        for mention in self.reading.free("entity"):
            if self._is_listed(mention) and self.resolver.entity_of(mention) != self.resolver.focus:
                self.reading.use(mention)
                refs += self.resolver.naming(self.resolver.entity_of(mention))
        return refs

    def _is_listed(self, mention: Mention) -> bool:
        before = self.reading.at(mention.first - 2) or self.reading.at(mention.first - 3)
        separated = self.reading.word(mention.first - 1) in (",", "and")
        after = self.reading.word(mention.last) in (",", "and")
        return separated and after and before is not None and before.kind in ("column", "name", "id")

    def _named_of_groups(self, refs: list[ColumnRef]) -> bool:
        """Whether what is shown already names each group."""
        entities = {ref.entity for ref in refs}
        for group in self.groups:
            if (
                group.entity is not None
                and group.entity not in entities
                and not self._refer_to(refs, group.entity)
            ):
                return False
            if group.refs and not set(group.refs) & set(refs):
                return False
            if group.unit is not None:
                return False
        return True

    def _refer_to(self, refs: list[ColumnRef], entity: str) -> bool:
        return any(
            join.right == entity and ColumnRef(join.left, left) in refs
            for join in self.model.active_joins
            for left, _ in join.columns
        )

    def group_refs(self, group: Group) -> tuple[ColumnRef, ...]:
        return group.refs or (self.resolver.naming(group.entity) if group.entity else ())
