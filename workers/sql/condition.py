"""One condition on the rows, and what all readers of conditions share."""

from dataclasses import dataclass

from sqlglot import exp

from workers.catalogue.words import word_set
from workers.sql.comparisons import Operator
from workers.sql.dates import Moment
from workers.sql.reading import Mention, Reading
from workers.sql.resolution import ColumnRef, Resolver

CONNECTING_WORDS = word_set(
    """is are was were equals equal to of named called the in as a an : with ( by at than number code value
    like either neither nor or and has have having it its their be than id amount"""
)


NEGATIONS = word_set(
    "not never no neither nor without except excluding n't isn't aren't wasn't doesn't don't didn't cannot"
)


@dataclass(frozen=True)
class Condition:
    """`refs` are one column, or several of which each part of a name goes to one."""

    first: int
    last: int
    ref: ColumnRef
    operator: Operator
    values: tuple[exp.Expr, ...]
    negated: bool = False
    moment: Moment | None = None


@dataclass(frozen=True)
class CountCondition:
    """`at least 3 albums`: of the rows of `entity` that belong to one of what is asked for; None: of its
    own."""

    first: int
    last: int
    operator: Operator
    number: float
    entity: str | None


def list_before(
    reading: Reading, position: int, earlier: list[Condition | CountCondition]
) -> Condition | None:
    """The condition that a list goes on with: `Latin or Pop`, `70 or 90`."""
    last = earlier[-1] if earlier else None
    if not isinstance(last, Condition) or last.moment is not None:
        return None
    between = {reading.word(here) for here in range(last.last, position)}
    return last if between and between <= {"or", "and", ",", "either", "the", "nor"} else None


def is_negated(reading: Reading, first: int, position: int) -> bool:
    return any(reading.word(here) in NEGATIONS for here in range(max(0, first - 1), position))


def text_literal(value: str) -> exp.Expr:
    return exp.Literal.string(value)


def column_ref(resolver: Resolver, mention: Mention, *, before: bool, text: bool = False) -> ColumnRef | None:
    refs = resolver.columns_of(mention, before=before)
    usable = [ref for ref in refs if not text or resolver.column(ref).kind == "text"]
    return usable[0] if usable else None
