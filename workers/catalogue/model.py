"""The semantic model: what the tables and columns of a database are called and how they join.

Frozen dataclasses; `document` reads and writes them as YAML that a person can edit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pydantic import ConfigDict

Kind = Literal["text", "number", "date", "timestamp", "boolean", "other"]
Role = Literal["dimension", "measure", "id", "date"]
JoinKind = Literal["foreign key", "implied", "never"]


@dataclass(frozen=True)
class Column:
    """`values` are distinct values of a text column, for recognising them in a question.

    A hidden column is never shown nor asked for: the guard refuses statements that name it.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    kind: Kind
    role: Role = "dimension"
    synonyms: tuple[str, ...] = ()
    description: str = ""
    unit: str = ""
    values: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    """Spoken names of stored values, such as {"US": "United States"}."""
    hidden: bool = False


@dataclass(frozen=True)
class Entity:
    """A table or view. `display` are the columns that name one row to a person."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    schema: str
    table: str
    name: str
    columns: tuple[Column, ...]
    synonyms: tuple[str, ...] = ()
    description: str = ""
    primary_key: tuple[str, ...] = ()
    display: tuple[str, ...] = ()
    row_estimate: int = 0
    hidden: bool = False

    @property
    def key(self) -> str:
        return f"{self.schema}.{self.table}"

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    @property
    def visible(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if not column.hidden)


@dataclass(frozen=True)
class Join:
    """`left` refers to `right`: many rows of `left` belong to one row of `right`.

    `left` and `right` are entity keys (`schema.table`), `columns` pairs of (left column, right column). A
    person switches an implied join off with kind `never`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    left: str
    right: str
    columns: tuple[tuple[str, str], ...]
    kind: JoinKind = "foreign key"

    @property
    def identity(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        return (self.left, self.right, self.columns)


@dataclass(frozen=True)
class Formula:
    """A figure that people call by a name and that no column holds: `GPM`, gross profit margin.

    `sql` is an expression over `table.column`: with aggregates it is a figure over many rows, without them
    one of each row. `words` say the same in the words of a question (`total sales / number of orders`);
    they are read when there is no `sql`. A person takes a learned one out with `hidden`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    sql: str = ""
    words: str = ""
    synonyms: tuple[str, ...] = ()
    unit: str = ""
    description: str = ""
    table: str = ""
    """Key of the table whose comment it was learned from: bare names of columns are this table's."""
    hidden: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.synonyms)


@dataclass(frozen=True)
class VerifiedQuery:
    """A question whose statement a person has checked; used as it stands when the question comes again.

    `also` are other ways to ask it.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    question: str
    sql: str
    also: tuple[str, ...] = ()

    @property
    def questions(self) -> tuple[str, ...]:
        return (self.question, *self.also)


@dataclass(frozen=True)
class SemanticModel:
    __pydantic_config__ = ConfigDict(extra="forbid")

    entities: tuple[Entity, ...] = ()
    joins: tuple[Join, ...] = ()
    formulas: tuple[Formula, ...] = ()
    verified: tuple[VerifiedQuery, ...] = ()

    @cached_property
    def by_key(self) -> dict[str, Entity]:
        return {entity.key: entity for entity in self.entities}

    def entity(self, key: str) -> Entity | None:
        return self.by_key.get(key)

    @property
    def visible(self) -> Iterator[Entity]:
        return (entity for entity in self.entities if not entity.hidden)

    @property
    def active_joins(self) -> Iterator[Join]:
        """Joins that may be used: not switched off, both ends visible."""
        shown = {entity.key for entity in self.visible}
        return (
            join for join in self.joins if join.kind != "never" and join.left in shown and join.right in shown
        )
