"""Which table a mentioned column belongs to, and which column a value: by what stands beside it."""

from collections.abc import Iterable
from dataclasses import dataclass

from workers.catalogue.linking import Target
from workers.catalogue.model import Column, Entity, SemanticModel
from workers.catalogue.words import word_set
from workers.sql.joins import JoinGraph
from workers.sql.reading import Mention, Reading

LEFT_BRIDGE = word_set(
    "with whose where having has have had the their its his her and , a an that who which is are by"
)
RIGHT_BRIDGE = word_set(
    """of for from in on about each every all the any those these do does did is are was were distinct
    different and , a an their its corresponding to ( ) other unique along respective associated by"""
)
_NEAR = 7
_FEW_VALUES, _MANY_VALUES = 60, 200


@dataclass(frozen=True)
class ColumnRef:
    entity: str
    column: str


class Resolver:
    """Chooses between the candidates of a mention. `focus` is the table that the question is about."""

    def __init__(self, model: SemanticModel, graph: JoinGraph, reading: Reading) -> None:
        self.model = model
        self._graph = graph
        self._reading = reading
        self.focus: str | None = None
        self.doubts = 0

    def entity_of(self, mention: Mention) -> str:
        """The table that an entity mention names best; ties go to the one nearest to the focus."""
        targets = mention.of("entity")
        best = max(target.score for target in targets)
        close = [target.entity for target in targets if target.score >= best - 0.01]
        if len(close) > 1 and self.focus is not None:
            focus = self.focus
            close.sort(key=lambda key: self._graph.distance(focus, key))
        if len(close) > 1:
            self.doubts += 1
        return close[0]

    def mentioned(self) -> list[str]:
        return [self.entity_of(m) for m in self._reading.mentions if m.kind == "entity"]

    def columns_of(self, mention: Mention, *, before: bool = False) -> tuple[ColumnRef, ...]:
        """The columns that a mention means: several for a name in two parts or for all details.

        Args:
            before: the table is more likely named before the column, as in a condition.
        """
        if mention.kind in ("name", "id", "all", "date"):
            return self._generic(mention, before=before)
        ref = self.column_of(mention.of("column"), self.owners(mention, before=before))
        return (ref,) if ref else ()

    def _generic(self, mention: Mention, *, before: bool) -> tuple[ColumnRef, ...]:
        owners = self.owners(mention, before=before)
        own = mention.of("entity")
        key = own[0].entity if own else self._full_named(mention) or next(iter(owners), None) or self.focus
        if mention.kind == "id" and own and key and (foreign := self.foreign_key(key)):
            return (foreign,)
        entity = self.model.entity(key) if key else None
        if entity is None:
            ref = self.column_of(mention.of("column"), owners)
            return (ref,) if ref else ()
        names = _generic_columns(entity, mention.kind)
        if mention.kind == "date" and not names:
            return ()
        if not names and mention.of("column"):
            ref = self.column_of(mention.of("column"), owners)
            return (ref,) if ref else ()
        return tuple(ColumnRef(entity.key, name) for name in names)

    def _full_named(self, mention: Mention) -> str | None:
        """`full names` are those of a table with a name in two parts."""
        if mention.kind != "name" or self._reading.word(mention.first - 1) != "full":
            return None
        return next((key for key in self.mentioned() if len(self.entity(key).display) > 1), None)

    def foreign_key(self, key: str) -> ColumnRef | None:
        """The column by which the focus itself refers to the table: no join is needed to show it."""
        if self.focus is None or self.focus == key:
            return None
        joins = [join for join in self.model.active_joins if (join.left, join.right) == (self.focus, key)]
        if len(joins) != 1 or len(joins[0].columns) != 1:
            return None
        left, right = joins[0].columns[0]
        return ColumnRef(self.focus, left) if self.entity(key).primary_key == (right,) else None

    def owners(self, mention: Mention, *, before: bool = False) -> dict[str, float]:
        """Tables named beside a mention, with how strongly they claim it, strongest first."""
        claims: dict[str, float] = {}
        left = self._neighbour(mention, step=-1)
        right = self._neighbour(mention, step=1)
        if left is not None:
            gap = mention.first - left.last
            held = gap == 1 and self._reading.word(left.last) in ("with", "whose")
            claims[self.entity_of(left)] = 0.6 if gap == 0 or held else 0.45 if before else 0.25
        if right is not None:
            key, gap = self.entity_of(right), right.first - mention.last
            weight = (0.3 if before else 0.5) if gap else 0.3
            claims[key] = max(claims.get(key, 0.0), weight)
        return dict(sorted(claims.items(), key=lambda item: -item[1]))

    def _neighbour(self, mention: Mention, *, step: int) -> Mention | None:
        bridge = LEFT_BRIDGE if step < 0 else RIGHT_BRIDGE
        here = mention.first - 1 if step < 0 else mention.last
        for _ in range(_NEAR * 2):
            if not 0 <= here < len(self._reading.words):
                return None
            other = self._reading.at(here)
            if other is not None and other.kind == "entity":
                return other
            if other is not None and other.kind in ("column", "name", "id", "date"):
                here = other.first - 1 if step < 0 else other.last
                continue
            if self._reading.word(here) not in bridge:
                return None
            here += step
        return None

    def column_of(self, targets: Iterable[Target], owners: dict[str, float]) -> ColumnRef | None:
        candidates = list(targets)
        if not candidates:
            return None
        mentioned = self.mentioned()
        scored = sorted(
            ((self._fit(target, owners, mentioned), target) for target in candidates),
            key=lambda item: -item[0],
        )
        if len(scored) > 1 and scored[0][0] - scored[1][0] < 0.02 and not owners:
            self.doubts += 1
        best = scored[0][1]
        return self._of_focus(ColumnRef(best.entity, best.column or ""), owners)

    def _of_focus(self, ref: ColumnRef, owners: dict[str, float]) -> ColumnRef:
        """A reference to the focus is the focus' own key: `user id` of users is not that of their orders."""
        if ref.entity == self.focus or ref.entity in owners or self.focus is None:
            return ref
        for join in self.model.active_joins:
            if (join.left, join.right) == (ref.entity, self.focus) and join.columns[0][0] == ref.column:
                return ColumnRef(self.focus, join.columns[0][1])
        return ref

    def _fit(self, target: Target, owners: dict[str, float], mentioned: list[str]) -> float:
        fit = target.score + owners.get(target.entity, 0.0)
        if target.entity in mentioned:
            fit += 0.3
        if self.focus is not None:
            fit += (
                0.15
                if target.entity == self.focus
                else -0.08 * min(4, self._graph.distance(self.focus, target.entity))
            )
        return fit

    def value_of(self, mention: Mention, wanted: Iterable[ColumnRef] = ()) -> tuple[ColumnRef, str] | None:
        """The column that holds a mentioned value, and the value as it is stored."""
        targets = mention.of("value")
        asked = set(wanted)
        fitting = [t for t in targets if ColumnRef(t.entity, t.column or "") in asked]
        if asked and not fitting:
            return None
        owners = self.owners(mention)
        mentioned = self.mentioned()
        pool = fitting or list(targets)
        if not pool:
            return None
        scored = sorted(
            ((self._fit(t, owners, mentioned) + self._shown(t), t) for t in pool), key=lambda i: -i[0]
        )
        if len(scored) > 1 and scored[0][0] - scored[1][0] < 0.02:
            self.doubts += 1
        best = scored[0][1]
        if not fitting and self._is_far_fetched(mention, best, mentioned):
            return None
        return ColumnRef(best.entity, best.column or ""), best.value or ""

    def _is_far_fetched(self, mention: Mention, target: Target, mentioned: list[str]) -> bool:
        """A common word in lower case is a value only of a table that is named or joined directly."""
        text = self._reading.tokens[mention.first].text
        if mention.last - mention.first > 1 or text != text.lower() or target.entity in mentioned:
            return False
        many = len(self.column(ColumnRef(target.entity, target.column or "")).values) > _MANY_VALUES
        reach = 2 if target.value == text and not many else 1
        near = self.focus is not None and self._graph.distance(self.focus, target.entity) <= reach
        return (many and target.value != text) or not near

    def _shown(self, target: Target) -> float:
        entity = self.model.entity(target.entity)
        if entity is None:
            return 0.0
        values = len(self.column(ColumnRef(target.entity, target.column or "")).values)
        shown = 0.1 if target.column in entity.display else 0.0
        # A category of few values is what an adjective names: rock tracks, active users.
        return shown + (0.15 if values <= _FEW_VALUES else -0.15 if values > _MANY_VALUES else 0.0)

    def entity(self, key: str) -> Entity:
        return self.model.by_key[key]

    def column(self, ref: ColumnRef) -> Column:
        found = self.entity(ref.entity).column(ref.column)
        if found is None:
            raise LookupError(f"{ref.entity} has no column {ref.column!r}")
        return found

    def naming(self, key: str) -> tuple[ColumnRef, ...]:
        """The columns that stand for a row of the table: its display columns, or its key."""
        entity = self.entity(key)
        names = entity.display or entity.primary_key or tuple(column.name for column in entity.visible[:1])
        return tuple(ColumnRef(key, name) for name in names)


def _generic_columns(entity: Entity, kind: str) -> tuple[str, ...]:
    if kind == "name":
        return entity.display
    if kind == "id":
        return entity.primary_key
    if kind == "date":
        dates = [column.name for column in entity.visible if column.kind in ("date", "timestamp")]
        return (dates[0],) if len(dates) == 1 else ()
    return tuple(column.name for column in entity.visible)
