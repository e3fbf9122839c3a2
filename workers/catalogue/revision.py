"""Bringing a model that a person edited up to date with the database, and saying what differs."""

from dataclasses import dataclass, replace
from typing import Literal

from workers.catalogue.model import Column, Entity, Join, SemanticModel


def merge(introspected: SemanticModel, edited: SemanticModel) -> SemanticModel:
    """Keep a person's words, take types, keys and sizes from the database, add what is new.

    To leave a table, column or join out, a person hides it (`hidden: true`, `kind: never`): what is only
    deleted from the file comes back.
    """
    entities = tuple(_merge_entity(found, edited.entity(found.key)) for found in introspected.entities)
    model = SemanticModel(entities=entities)
    joins = {join.identity: join for join in introspected.joins}
    joins.update({join.identity: join for join in edited.joins if _joins_exist(join, model)})
    formulas = {formula.name.lower(): formula for formula in (*introspected.formulas, *edited.formulas)}
    return SemanticModel(
        entities=entities,
        joins=tuple(joins.values()),
        formulas=tuple(formulas.values()),
        verified=edited.verified,
    )


@dataclass(frozen=True)
class Change:
    """`sign`: + came, - went, ~ is another; `where` is a table, column, join, formula or question."""

    sign: Literal["+", "-", "~"]
    what: Literal["table", "column", "join", "formula", "verified query"]
    where: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.what} {self.where}{f': {self.detail}' if self.detail else ''}"


def differences(introspected: SemanticModel, edited: SemanticModel) -> list[Change]:
    """Each table, column or join that the database has and the file has not, or the other way round."""
    changes: list[Change] = []
    for found in introspected.entities:
        known = edited.entity(found.key)
        if known is None:
            changes.append(Change("+", "table", found.key))
            continue
        for column in found.columns:
            changes += _column_change(found, column, known.column(column.name))
        gone = (column for column in known.columns if found.column(column.name) is None)
        changes += [Change("-", "column", f"{found.key}.{column.name}") for column in gone]
    gone_tables = (known for known in edited.entities if introspected.entity(known.key) is None)
    changes += [Change("-", "table", known.key) for known in gone_tables]
    changes += [
        Change("-", "join", _show(join)) for join in edited.joins if not _joins_exist(join, introspected)
    ]
    return changes


def _column_change(found: Entity, column: Column, known: Column | None) -> list[Change]:
    where = f"{found.key}.{column.name}"
    if known is None:
        return [Change("+", "column", where)]
    if known.kind != column.kind:
        return [Change("~", "column", where, f"was {known.kind}, is {column.kind}")]
    return []


def edits(introspected: SemanticModel, edited: SemanticModel) -> list[Change]:
    """What a person says of what the database has, where it is not what was read from it."""
    changes: list[Change] = []
    for known in edited.entities:
        found = introspected.entity(known.key)
        if found is None:
            continue
        changes += _said("table", known.key, known, found, _ENTITY_FIELDS)
        for column in known.columns:
            read = found.column(column.name)
            if read is not None:
                changes += _said("column", f"{known.key}.{column.name}", column, read, _COLUMN_FIELDS)
    joins = {join.identity: join for join in introspected.joins}
    for join in edited.joins:
        if join.identity not in joins:
            changes.append(Change("+", "join", _show(join)))
        elif joins[join.identity].kind != join.kind:
            changes.append(Change("~", "join", _show(join), f"kind {join.kind}"))
    learned = {formula.name.lower(): formula for formula in introspected.formulas}
    for formula in edited.formulas:
        if learned.get(formula.name.lower()) != formula:
            sign: Literal["~", "+"] = "~" if formula.name.lower() in learned else "+"
            meaning = "hidden" if formula.hidden else formula.sql or formula.words
            changes.append(Change(sign, "formula", formula.name, meaning))
    return [*changes, *(Change("+", "verified query", query.question) for query in edited.verified)]


_ENTITY_FIELDS = ("name", "synonyms", "description", "display", "hidden")
_COLUMN_FIELDS = ("role", "synonyms", "description", "unit", "labels", "values", "hidden")


def _said(
    what: Literal["table", "column"],
    where: str,
    edited: Entity | Column,
    found: Entity | Column,
    fields: tuple[str, ...],
) -> list[Change]:
    """A field that is left out says nothing, but a list of synonyms that is emptied does."""
    changes: list[Change] = []
    for name in fields:
        new, old = getattr(edited, name), getattr(found, name)
        if new == old or (name != "synonyms" and not new):
            continue
        changes.append(Change("~", what, where, f"{name} {_text(new)}"))
    return changes


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(part) for part in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} = {label}" for key, label in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _show(join: Join) -> str:
    return " and ".join(f"{join.left}.{a} = {join.right}.{b}" for a, b in join.columns)


def _merge_entity(found: Entity, edited: Entity | None) -> Entity:
    if edited is None:
        return found
    columns = tuple(_merge_column(column, edited.column(column.name)) for column in found.columns)
    display = tuple(name for name in edited.display if found.column(name) is not None)
    return replace(
        found,
        name=edited.name,
        columns=columns,
        synonyms=edited.synonyms,
        description=edited.description or found.description,
        display=display or found.display,
        hidden=edited.hidden,
    )


def _merge_column(found: Column, edited: Column | None) -> Column:
    if edited is None:
        return found
    return replace(
        edited,
        kind=found.kind,
        description=edited.description or found.description,
        unit=edited.unit or found.unit,
        values=tuple(dict.fromkeys((*edited.values, *found.values))),
    )


def _joins_exist(join: Join, model: SemanticModel) -> bool:
    left, right = model.entity(join.left), model.entity(join.right)
    if left is None or right is None:
        return False
    return all(left.column(a) is not None and right.column(b) is not None for a, b in join.columns)
