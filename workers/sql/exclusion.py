"""What must not exist: customers without orders, artists that have never released an album."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from workers.catalogue.model import SemanticModel
from workers.catalogue.words import word_set
from workers.sql.condition import Condition
from workers.sql.joins import JoinGraph
from workers.sql.plan import Draft, Unplannable, column, render
from workers.sql.predicates import predicates
from workers.sql.reading import Reading
from workers.sql.resolution import ColumnRef, Resolver

_MARKERS = word_set("not never without no n't neither nor cannot don't doesn't didn't haven't hasn't")
_COMPARED = word_set(
    "less more fewer greater than equal higher lower larger smaller older younger above below"
)
_ENDS = word_set(". ; ? ! ,")
_REACH = 7
_EXCEPTING = ("except for", "except", "excluding", "apart from", "other than")
_EXCEPTING_STARTS = frozenset(phrase.split()[0] for phrase in _EXCEPTING)
_LEADING = word_set("the those all any for that of")


@dataclass(frozen=True)
class Exclusion:
    """Tokens `first` to `last` (exclusive) say that there is no row of `entity`."""

    first: int
    last: int
    entity: str


def find_exclusions(reading: Reading, resolver: Resolver) -> list[Exclusion]:
    found: list[Exclusion] = []
    for position, word in enumerate(reading.words):
        excepted = _excepted(reading, resolver, position)
        if excepted is not None and (not found or position >= found[-1].last):
            found.append(excepted)
            continue
        if word not in _MARKERS and not word.endswith("n't"):
            continue
        if reading.word(position + 1) in _COMPARED or (found and position < found[-1].last):
            continue
        exclusion = _exclusion(reading, resolver, position)
        if exclusion is not None:
            found.append(exclusion)
    return found


def _excepted(reading: Reading, resolver: Resolver, position: int) -> Exclusion | None:
    """`all halls except those halls that had a concert in 2021`: the focus' own table is named again."""
    if reading.word(position) not in _EXCEPTING_STARTS:
        return None
    phrase = next((p for p in _EXCEPTING if reading.phrase(position, position + p.count(" ") + 1) == p), None)
    if phrase is None:
        return None
    here = position + phrase.count(" ") + 1
    again = reading.next_mention(here, _LEADING, kinds=("entity",), reach=4)
    if again is None or resolver.entity_of(again) != resolver.focus:
        return None
    last = _clause_end(reading, again.last)
    inside = [m for m in reading.free("entity") if again.last <= m.first < last]
    if len(inside) > 1:
        return None
    for mention in (again, *inside):
        reading.use(mention)
    reading.explain(range(position, again.last))
    return Exclusion(position, last, resolver.entity_of(inside[0] if inside else again))


def _exclusion(reading: Reading, resolver: Resolver, position: int) -> Exclusion | None:
    for here in range(position + 1, min(position + 1 + _REACH, len(reading.words))):
        mention = reading.at(here)
        if mention is not None and mention.kind in ("column", "name", "id") and not mention.weak:
            # A condition on a column: `whose first name does not contain ...`.
            following = reading.at(mention.last)
            if following is None or following.kind != "entity":
                if mention.kind != "column" or _entity_before(reading, position) is None:
                    return None
                continue
        if mention is None or mention.kind != "entity" or reading.is_used(mention):
            if reading.word(here) in _ENDS or reading.tokens[here].kind in ("quoted", "number"):
                return None
            continue
        entity = resolver.entity_of(mention)
        if entity == resolver.focus:
            return None
        last = _clause_end(reading, mention.last)
        reading.explain(range(position, mention.last))
        reading.use(mention)
        return Exclusion(position, last, entity)
    return None


def _entity_before(reading: Reading, position: int) -> str | None:
    return next((m.kind for m in reading.mentions if m.kind == "entity" and m.last <= position), None)


def _clause_end(reading: Reading, start: int) -> int:
    for position in range(start, len(reading.words)):
        if reading.word(position) in _ENDS:
            return position
    return len(reading.words)


def exclusion_predicate(
    model: SemanticModel,
    graph: JoinGraph,
    resolver: Resolver,
    subject: str,
    excluded: tuple[str, Sequence[Condition]],
) -> exp.Expr:
    """`subject.key NOT IN (SELECT subject.key ... JOIN excluded ...)`; the key is never NULL there."""
    entity, conditions = excluded
    key = model.by_key[subject].primary_key
    if len(key) != 1:
        raise Unplannable(f"{subject} has no key of one column to leave rows out by")
    ref = ColumnRef(subject, key[0])
    inner = Draft(model, outputs=[column(model, ref)])
    inner.need(subject, entity)
    inner.where += predicates(inner, resolver, conditions)
    select, _ = render(inner, graph, frozenset())
    return exp.Not(this=exp.In(this=column(model, ref), query=exp.Subquery(this=select)))
