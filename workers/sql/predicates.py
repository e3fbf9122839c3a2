"""Conditions as SQL."""

from collections.abc import Sequence
from itertools import pairwise

import sqlglot
from sqlglot import exp

from workers.sql.comparisons import Operator
from workers.sql.condition import Condition
from workers.sql.plan import Draft
from workers.sql.reading import Reading
from workers.sql.resolution import ColumnRef, Resolver

_OPERATORS: dict[str, type[exp.Binary]] = {
    "=": exp.EQ, "<>": exp.NEQ, ">": exp.GT, ">=": exp.GTE, "<": exp.LT, "<=": exp.LTE,
}  # fmt: skip


def predicates(draft: Draft, resolver: Resolver, conditions: Sequence[Condition]) -> list[exp.Expr]:
    """One expression for each group: equal columns in a row are alternatives,
    the parts of a name belong together."""
    return [_alternatives(draft, resolver, group) for group in grouped(conditions)]


def either(
    reading: Reading, resolver: Resolver, conditions: Sequence[Condition], made: list[exp.Expr]
) -> list[exp.Expr]:
    """`starts with J or whose voice is tenor`: two conditions with `or` between them are alternatives.

    With more than two it is not said which of them belong together: all hold, and that is a doubt.
    """
    groups = grouped(conditions)
    spans = [[c for person in group for c in person] for group in groups]
    said = [
        "or" in reading.words[max(c.last for c in one) : min(c.first for c in other)]
        or reading.word(min(c.first for c in other)) == "or"
        for one, other in pairwise(spans)
    ]
    if not any(said):
        return made
    if len(made) != 2:
        resolver.doubts += 1
        return made
    return [exp.paren(exp.or_(*made))]


def grouped(conditions: Sequence[Condition]) -> list[list[list[Condition]]]:
    """Alternatives of conjunctions: [[first = A, last = B], [first = C, last = D]]."""
    people = _joined_names(conditions)
    groups: list[list[list[Condition]]] = []
    for person in people:
        match = next((g for g in groups if _may_be_alternative(g[-1], person)), None)
        if match is None:
            groups.append([person])
        else:
            match.append(person)
    return groups


def _joined_names(conditions: Sequence[Condition]) -> list[list[Condition]]:
    """Values that stand side by side and go to different columns of one table are one name."""
    people: list[list[Condition]] = []
    for condition in conditions:
        last = people[-1][-1] if people else None
        if (
            last is not None
            and last.last == condition.first
            and last.ref.entity == condition.ref.entity
            and last.ref.column not in (condition.ref.column,)
            and last.operator == condition.operator == "="
            and last.moment is None
            and condition.moment is None
        ):
            people[-1].append(condition)
        else:
            people.append([condition])
    return people


def _may_be_alternative(known: list[Condition], person: list[Condition]) -> bool:
    """Nothing equals two values at once, so two values of one column are alternatives."""
    if [c.ref for c in known] != [c.ref for c in person]:
        return False
    return all(c.operator == "=" and c.moment is None and not c.negated for c in (*known, *person))


def _alternatives(draft: Draft, resolver: Resolver, group: list[list[Condition]]) -> exp.Expr:
    if len(group) > 1 and all(len(person) == 1 and person[0].values for person in group):
        column = draft.column(group[0][0].ref)
        return exp.In(this=column, expressions=[person[0].values[0] for person in group])
    parts = [_conjunction(draft, resolver, person) for person in group]
    return exp.paren(exp.or_(*parts)) if len(parts) > 1 else parts[0]


def _conjunction(draft: Draft, resolver: Resolver, person: list[Condition]) -> exp.Expr:
    parts = [predicate(draft, resolver, condition) for condition in person]
    return exp.paren(exp.and_(*parts)) if len(parts) > 1 else parts[0]


def predicate(draft: Draft, resolver: Resolver, condition: Condition) -> exp.Expr:
    column = draft.column(condition.ref)
    if condition.moment is not None:
        made = _time(column, condition)
    elif condition.operator in ("contains", "starts", "ends"):
        made = _pattern(column, condition)
    elif len(condition.values) == 2 and condition.operator == ">=":
        made = exp.Between(this=column, low=condition.values[0], high=condition.values[1])
    else:
        made = _OPERATORS[condition.operator](
            this=column, expression=_typed(resolver, condition.ref, condition.values[0])
        )
    return exp.Not(this=exp.paren(made) if isinstance(made, exp.Or) else made) if condition.negated else made


def _typed(resolver: Resolver, ref: ColumnRef, value: exp.Expr) -> exp.Expr:
    if resolver.column(ref).kind == "boolean" and isinstance(value, exp.Literal):
        return exp.Boolean(this=value.name.lower() in ("true", "yes", "t", "1"))
    return value


def _pattern(column: exp.Expr, condition: Condition) -> exp.Expr:
    parts = [
        exp.ILike(
            this=column.copy(), expression=exp.Literal.string(_wildcards(condition.operator, value.name))
        )
        for value in condition.values
    ]
    return exp.or_(*parts)


def _wildcards(operator: Operator, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {"contains": f"%{escaped}%", "starts": f"{escaped}%", "ends": f"%{escaped}"}[operator]


def _time(column: exp.Expr, condition: Condition) -> exp.Expr:
    moment = condition.moment
    if condition.values:
        return _OPERATORS[condition.operator](this=column, expression=condition.values[0])
    start = sqlglot.parse_one(moment.start, dialect="postgres") if moment and moment.start else None
    end = sqlglot.parse_one(moment.end, dialect="postgres") if moment and moment.end else None
    if condition.operator in (">", ">=") and start is not None:
        if condition.operator == ">" and moment is not None and not moment.point and end is not None:
            return exp.GTE(this=column, expression=end)
        if condition.operator == ">" and moment is not None and moment.point:
            return exp.GT(this=column, expression=start)
        return exp.GTE(this=column, expression=start)
    if condition.operator in ("<", "<="):
        bound = start if condition.operator == "<" or end is None else end
        return exp.LT(this=column, expression=bound)
    parts: list[exp.Expr] = []
    if start is not None:
        parts.append(exp.GTE(this=column.copy(), expression=start))
    if end is not None:
        parts.append(exp.LT(this=column.copy(), expression=end))
    return exp.and_(*parts)
