"""Which tables a plan needs and the shortest way to join them."""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from workers.catalogue.model import Join, SemanticModel
from workers.catalogue.words import root, split_identifier

_SHARED_COST = 0.5
_HINT_BONUS = 0.4
_IMPLIED_COST = 0.1


@dataclass(frozen=True)
class Step:
    """One join of a plan: `entity` is added to what is there already."""

    entity: str
    join: Join


@dataclass(frozen=True)
class JoinTree:
    """`first` and all that is joined to it, in an order in which each step has its other side already."""

    first: str
    steps: tuple[Step, ...]
    ambiguous: bool = False
    """Two joins of the same tables fit the question equally well."""

    @property
    def entities(self) -> tuple[str, ...]:
        return (self.first, *(step.entity for step in self.steps))

    def multiplies(self, entity: str) -> bool:
        """Whether a row of `entity` may appear several times in the join."""
        neighbours: dict[str, list[tuple[str, bool]]] = defaultdict(list)
        for step in self.steps:
            join = step.join
            neighbours[join.left].append((join.right, False))
            neighbours[join.right].append((join.left, True))
        seen, queue = {entity}, [entity]
        while queue:
            for other, many in neighbours[queue.pop()]:
                if other not in seen:
                    if many:
                        return True
                    seen.add(other)
                    queue.append(other)
        return False


class JoinGraph:
    """The joins of a model, for finding ways between tables."""

    def __init__(self, model: SemanticModel) -> None:
        self._edges: dict[str, list[tuple[str, Join]]] = defaultdict(list)
        for join in model.active_joins:
            if join.left != join.right:
                self._edges[join.left].append((join.right, join))
                self._edges[join.right].append((join.left, join))

    def connect(self, needed: Iterable[str], hints: frozenset[str] = frozenset()) -> JoinTree | None:
        """Join all needed tables, nearest first; None when one can't be reached.

        Args:
            hints: roots of the question's words; they choose between two joins of the same tables, as
                `reported_by_staff_id` and `assigned_to_staff_id`.
        """
        wanted = list(dict.fromkeys(needed))
        if not wanted:
            return None
        tree, steps, missing = {wanted[0]}, [], wanted[1:]
        while missing:
            paths = [
                (path, cost) for path, cost in (self._path(tree, goal, hints) for goal in missing) if path
            ]
            if not paths:
                return None
            for step in min(paths, key=lambda found: found[1])[0]:
                if step.entity not in tree:
                    tree.add(step.entity)
                    steps.append(step)
            missing = [goal for goal in missing if goal not in tree]
        return JoinTree(wanted[0], tuple(steps), any(self._has_twin(step.join, hints) for step in steps))

    def _has_twin(self, join: Join, hints: frozenset[str]) -> bool:
        twins = [
            other
            for _, other in self._edges[join.left]
            if {other.left, other.right} == {join.left, join.right}
        ]
        return sum(_price(other, hints) <= _price(join, hints) for other in twins) > 1

    def distance(self, one: str, other: str) -> int:
        """Joins between two tables; 99 when there is no way."""
        if one == other:
            return 0
        path, _ = self._path({one}, other, frozenset())
        return len(path) or 99

    def _path(self, sources: set[str], goal: str, hints: frozenset[str]) -> tuple[list[Step], float]:
        queue: list[tuple[float, int, str, tuple[Step, ...]]] = [
            (0.0, order, source, ()) for order, source in enumerate(sorted(sources))
        ]
        done: set[str] = set()
        count = len(queue)
        while queue:
            cost, _, entity, path = heapq.heappop(queue)
            if entity == goal:
                return list(path), cost
            if entity in done:
                continue
            done.add(entity)
            for other, join in self._edges[entity]:
                if other not in done:
                    count += 1
                    price = (
                        cost + _price(join, hints) + (_SHARED_COST if _is_shared(path, entity, join) else 0.0)
                    )
                    heapq.heappush(queue, (price, count, other, (*path, Step(other, join))))
        return [], float("inf")


def _is_shared(path: tuple[Step, ...], entity: str, join: Join) -> bool:
    """Two tables that only refer to the same third: the courses and the students of one department.

    A table that refers to both, such as enrolments, says more of them.
    """
    return bool(path) and path[-1].join.right == entity == join.right


def _price(join: Join, hints: frozenset[str]) -> float:
    words = {root(word) for column, _ in join.columns for word in split_identifier(column)}
    named = words & hints
    cost = 1.0 + (_IMPLIED_COST if join.kind == "implied" else 0.0)
    return cost - _HINT_BONUS * min(1.0, len(named) / 2)
