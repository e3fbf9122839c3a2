"""From a question to SQL without a language model.

The question is read once from left to right for each kind of thing it may ask for: counts and aggregates,
superlatives, sorting, grouping, conditions, what must not exist. Each takes its words; the columns left over
are what is shown. It is
confident when every word that matters found a place and nothing could be read in two ways.
"""

from dataclasses import dataclass
from itertools import pairwise

from sqlglot import exp

from workers.catalogue.linking import SchemaIndex
from workers.catalogue.model import SemanticModel
from workers.catalogue.words import STOP_WORDS, root, split_identifier, word_set
from workers.sql.conditions import Condition, CountCondition, find_conditions
from workers.sql.dates import number_of
from workers.sql.exclusion import Exclusion, exclusion_predicate, find_exclusions
from workers.sql.joins import JoinGraph
from workers.sql.measures import Superlative, find_aggregates, find_counts
from workers.sql.nesting import find_average_comparisons
from workers.sql.ordering import Group, Order, find_groups, find_orders
from workers.sql.plan import Draft, Measure, Unplannable, measure_expression, measure_name, render
from workers.sql.predicates import grouped, predicates
from workers.sql.reading import SOFT_WORDS, Mention, Reading
from workers.sql.resolution import ColumnRef, Resolver
from workers.sql.subselects import Subselect, find_subselects
from workers.sql.superlatives import find_superlatives

DIALECT = "postgres"
_FAINT = 0.7
# Words that change what is asked: a plan that has no place for one of them is not to be trusted.
_MEANINGFUL = word_set(
    """than same more less fewer not no never without except excluding before after between average mean total
    sum most least both ratio difference percentage percent proportion rank median other another until
    since nor
    neither maximum minimum highest lowest largest smallest longest shortest oldest youngest latest earliest
    recent"""
)


@dataclass(frozen=True)
class Proposal:
    """A statement (not yet guarded) and how much of the question it covers."""

    sql: str
    confidence: float
    confident: bool
    unexplained: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoProposal:
    """Why the planner made nothing of the question, as people can read it."""

    reason: str


class Planner:
    """Plans questions over one semantic model; holds no state of a question."""

    def __init__(self, model: SemanticModel, index: SchemaIndex | None = None) -> None:
        self.model = model
        self.index = index or SchemaIndex(model)
        self.graph = JoinGraph(model)

    def plan(self, question: str) -> Proposal | NoProposal:
        reading = Reading(question, self.index)
        if not any(mention.targets for mention in reading.mentions):
            return NoProposal("No table, column or value of the database is named in the question.")
        try:
            return _Question(self, reading).propose()
        except Unplannable as error:
            return NoProposal(f"The planner can't express the question: {error}.")


class _Question:
    """One pass over one question."""

    def __init__(self, planner: Planner, reading: Reading) -> None:
        self.model, self.graph, self.reading = planner.model, planner.graph, reading
        self.resolver = Resolver(planner.model, planner.graph, reading)
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
        self.groups = find_groups(reading, self.resolver, aggregated=bool(self._measures() or ordered))
        self.exclusions = find_exclusions(reading, self.resolver)
        found = find_conditions(reading, self.resolver)
        self.conditions = [c for c in found if isinstance(c, Condition)]
        self.count_conditions = [c for c in found if isinstance(c, CountCondition)]

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
            self.reading.explain(range(measure.first, measure.last))
            for mention in self.reading.mentions:
                inside = measure.first <= mention.first and mention.last <= measure.last
                if inside and mention.kind in ("entity", "column"):
                    self.reading.use(mention)

    def _in_superlative(self, measure: Measure) -> bool:
        return any(
            item.measure == measure or (item.first <= measure.first < item.last) for item in self.superlatives
        )

    def _measures(self) -> list[Measure]:
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
        if both is not None:
            tree: exp.Query = exp.intersect(
                *[self._anew([*rest, *one]) for rest, one in both], dialect=DIALECT
            )
        else:
            tree = self._select(self.conditions)
        unexplained = self._unexplained()
        share = self._share(unexplained)
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
                and not self._measures()
            ):
                return True
        grouped_by = {
            group.entity or group.refs[0].entity for group in self.groups if group.entity or group.refs
        }
        named = [ref for ref in self.shown if ref.column in self.model.by_key[ref.entity].display]
        return bool(grouped_by) and any(ref.entity not in grouped_by for ref in named)

    def _both(self) -> list[tuple[list[Condition], list[Condition]]] | None:
        """`both A and B`: what fulfils A and, in another row, B."""
        if "both" not in self.reading.words or self._measures():
            return None
        groups = grouped(self._outer_conditions())
        several = next((group for group in groups if len(group) > 1), None)
        if several is None:
            return None
        self.reading.explain([self.reading.words.index("both")])
        rest = [c for group in groups if group is not several for person in group for c in person]
        return [(rest, person) for person in several]

    def _outer_conditions(self) -> list[Condition]:
        return [c for c in self.conditions if not self._is_within(c)]

    def _is_within(self, item: Condition | Mention) -> bool:
        """Whether it belongs to what is left out, or to the rows that others are compared with."""
        inner: list[Exclusion | Subselect] = [*self.exclusions, *self.subselects]
        return any(part.first <= item.first < part.last for part in inner)

    def _select(self, conditions: list[Condition]) -> exp.Select:
        draft = Draft(self.model)
        measures = self._measures()
        shown = self.shown = self._shown(measures)
        inner = [c for c in self.conditions if self._is_within(c)]
        outer = [c for c in conditions if c not in inner]
        for ref in shown:
            draft.column(ref)
        for measure in measures:
            draft.need(measure.table)
        draft.where += predicates(draft, self.resolver, outer)
        draft.where += [nested.predicate(draft) for nested in self.nested]
        for item in self.subselects:
            own = [c for c in inner if item.first <= c.first < item.last]
            draft.where.append(item.predicate(draft, self.graph, self.resolver, own))
        self._exist(draft)
        self._possessions(draft)
        self._flags(draft)
        self._acts(draft)
        for exclusion in self.exclusions:
            draft.where.append(self._excluded(draft, exclusion, inner))
        self._need_measured(draft)
        tree = self.graph.connect(draft.tables, self.reading.roots)
        if tree is None:
            raise Unplannable("tables that no join connects")
        self.resolver.doubts += tree.ambiguous
        for step in tree.steps:
            self.joined_by |= {root(word) for left, _ in step.join.columns for word in split_identifier(left)}
        return _Assembly(self, draft, shown, measures).select()

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
            if self._is_possession(mention) or mention.weak or self._is_within(mention):
                continue
            if self._flag(mention) is not None:
                continue
            found = self.resolver.columns_of(mention)
            if found:
                self._doubt_faint(mention)
                self.reading.use(mention)
                refs += [ref for ref in found if ref not in refs and ref not in measured]
        refs += [ref for ref in self._happened() if ref not in refs]
        if refs:
            refs += [ref for ref in self._listed() if ref not in refs]
        grouped_by = [ref for group in self.groups for ref in self._group_refs(group) if ref]
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

    def _is_possession(self, mention: Mention) -> bool:
        """`who had a commission`: there has to be one; it is not what is asked for."""
        here = mention.first - 1
        if mention.kind != "column" or self.reading.word(here) not in ("a", "an", "any"):
            return False
        return self.reading.word(here - 1) in ("have", "has", "had", "got", "gets", "with", "without")

    def _possessions(self, draft: Draft) -> None:
        for mention in self.reading.free("column"):
            if mention.weak or not self._is_possession(mention):
                continue
            for ref in self.resolver.columns_of(mention, before=True):
                self.reading.use(mention)
                missing = exp.Is(this=draft.column(ref), expression=exp.null())
                without = self.reading.word(mention.first - 2) == "without"
                draft.where.append(missing if without else exp.Not(this=missing))

    def _listed(self) -> list[ColumnRef]:
        """`the first name, department and city of`: a table in a list of columns is shown by its name."""
        refs: list[ColumnRef] = []
        for mention in self.reading.free("entity"):
            if self._is_listed(mention) and self.resolver.entity_of(mention) != self.resolver.focus:
                self.reading.use(mention)
                refs += self.resolver.naming(self.resolver.entity_of(mention))
        return refs

    def _flag(self, mention: Mention) -> ColumnRef | None:
        """The yes-or-no column of a mention that says something of the rows: `how many singers are male`."""
        if mention.kind != "column" or {"whether", "preference", "flag", "boolean"} & set(self.reading.words):
            return None
        targets = [t for t in mention.of("column") if t.score >= max(x.score for x in mention.targets) - 0.01]
        columns = [self.resolver.column(ColumnRef(t.entity, t.column or "")) for t in targets]
        if not columns or any(column.kind != "boolean" for column in columns):
            return None
        return self.resolver.column_of(targets, self.resolver.owners(mention, before=True))

    def _flags(self, draft: Draft) -> None:
        for mention in self.reading.free("column"):
            ref = self._flag(mention)
            if ref is None:
                continue
            self.reading.use(mention)
            before = self.reading.words[max(0, mention.first - 2) : mention.first]
            negated = bool({"not", "no", "non", "never"} & set(before))
            self.reading.explain(
                range(mention.first - len(before) if negated else mention.first, mention.last)
            )
            draft.where.append(exp.Not(this=draft.column(ref)) if negated else draft.column(ref))

    def _is_listed(self, mention: Mention) -> bool:
        before = self.reading.at(mention.first - 2) or self.reading.at(mention.first - 3)
        separated = self.reading.word(mention.first - 1) in (",", "and")
        after = self.reading.word(mention.last) in (",", "and")
        return separated and after and before is not None and before.kind in ("column", "name", "id")

    def _acts(self, draft: Draft) -> None:
        """`are assigned to`: a verb that only one table's reference is called by brings in that table."""
        for mention in self.reading.free("column"):
            keys = [
                t
                for t in mention.of("column")
                if self.resolver.column(ColumnRef(t.entity, t.column or "")).role == "id"
            ]
            word = self.reading.word(mention.last - 1)
            if (
                not mention.weak
                or not word.endswith("ed")
                or len({t.entity for t in mention.targets}) != 1
                or not keys
            ):
                continue
            ref = ColumnRef(keys[0].entity, keys[0].column or "")
            for join in self.model.active_joins:
                if (
                    join.left == ref.entity
                    and join.columns[0][0] == ref.column
                    and join.right in draft.tables
                ):
                    draft.need(ref.entity)

    def _happened(self) -> list[ColumnRef]:
        """`on what dates were they hired`, `when was it reported`: the date that the verb names."""
        if not {"when", "date", "dates"} & set(self.reading.words[:5]):
            return []
        for mention in self.reading.free("column"):
            dates = [t for t in mention.of("column") if self._is_date(ColumnRef(t.entity, t.column or ""))]
            if mention.weak and dates and self.reading.word(mention.first) not in ("date", "dates"):
                ref = self.resolver.column_of(dates, self.resolver.owners(mention, before=True))
                self.reading.use(mention)
                return [ref] if ref else []
        return []

    def _is_date(self, ref: ColumnRef) -> bool:
        return self.resolver.column(ref).kind in ("date", "timestamp")

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

    def _group_refs(self, group: Group) -> tuple[ColumnRef, ...]:
        return group.refs or (self.resolver.naming(group.entity) if group.entity else ())

    def _unexplained(self) -> list[str]:
        names = {root(w) for e in self._used_entities() for w in self._words_of(e)}
        missing = []
        for position, token in enumerate(self.reading.tokens):
            if position in self.reading.explained or token.kind == "symbol":
                continue
            mention = self.reading.at(position)
            keyed = mention is not None and mention.weak and self._is_reference(mention)
            if token.lower in _MEANINGFUL or (keyed and token.root not in self.joined_by):
                missing.append(token.text)
                continue
            if token.kind == "word" and (
                token.lower in STOP_WORDS or token.lower in SOFT_WORDS or token.root in names
            ):
                continue
            missing.append(token.text)
        return missing

    def _is_reference(self, mention: Mention) -> bool:
        targets = mention.of("column")
        columns = [self.resolver.column(ColumnRef(t.entity, t.column or "")) for t in targets]
        return bool(columns) and all(column.role == "id" for column in columns)

    def _used_entities(self) -> set[str]:
        used = set(self.resolver.mentioned())
        return used | ({self.resolver.focus} if self.resolver.focus else set())

    def _words_of(self, key: str) -> list[str]:
        entity = self.model.by_key[key]
        names = [entity.table, *(column.name for column in entity.visible)]
        return [word for name in names for word in split_identifier(name)]

    def _share(self, unexplained: list[str]) -> float:
        hard = self._hard_words()
        weight = sum(3.0 if word in hard else 1.0 for word in unexplained)
        content = sum(1 for t in self.reading.tokens if t.kind != "symbol" and t.lower not in STOP_WORDS)
        return max(0.0, 1.0 - weight / max(4, content))

    def _hard_words(self) -> set[str]:
        """Words that change the answer: numbers, quotations, comparisons, and names, by their capital."""
        tokens = self.reading.tokens
        literal = {t.text for t in tokens if t.kind in ("number", "quoted", "date") or t.lower in _MEANINGFUL}
        return literal | {
            token.text
            for previous, token in pairwise(tokens)
            if token.kind == "word" and token.text[0].isupper() and previous.text not in (".", "?", "!")
        }


class _Assembly:
    """Puts the parts that were found into a SELECT."""

    def __init__(
        self, question: _Question, draft: Draft, shown: list[ColumnRef], measures: list[Measure]
    ) -> None:
        self.question, self.draft, self.shown, self.measures = question, draft, shown, measures
        self.model, self.resolver = question.model, question.resolver
        tree = question.graph.connect(draft.tables, question.reading.roots)
        self.tree = tree

    def select(self) -> exp.Select:
        draft = self.draft
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
            measure = Measure(0, 0, "count", entity=condition.entity)
            count = exp.Count(this=exp.Star()) if condition.entity is None else self._measure(measure)
            self.draft.having.append(_compared(condition.operator, count, condition.number))
        for item in self.question.nested:
            self.draft.having += item.having(self.draft)

    def _order(self, buckets: list[exp.Expr]) -> None:
        for item in self.question.superlatives:
            key = self._superlative_key(item)
            if key is not None:
                self.draft.order.append(_ordered(key, descending=item.descending))
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


def _ordered(key: exp.Expr, *, descending: bool) -> exp.Ordered:
    return exp.Ordered(this=key, desc=descending, nulls_first=False)


def _compared(operator: str, left: exp.Expr, number: float) -> exp.Expr:
    kinds: dict[str, type[exp.Binary]] = {
        "=": exp.EQ, "<>": exp.NEQ, ">": exp.GT, ">=": exp.GTE, "<": exp.LT, "<=": exp.LTE,
    }  # fmt: skip
    return kinds[operator](this=left, expression=exp.Literal.number(repr(number)))
