"""Bringing a model that a person edited up to date with the database, and saying what differs."""

from dataclasses import replace

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


def differences(introspected: SemanticModel, edited: SemanticModel) -> list[str]:
    """What a person has to look at: one line for each table, column or join that came or went."""
    lines = []
    for found in introspected.entities:
        known = edited.entity(found.key)
        if known is None:
            lines.append(f"+ table {found.key}")
            continue
        lines += [f"+ column {found.key}.{c.name}" for c in found.columns if known.column(c.name) is None]
        lines += [f"- column {found.key}.{c.name}" for c in known.columns if found.column(c.name) is None]
    lines += [f"- table {known.key}" for known in edited.entities if introspected.entity(known.key) is None]
    lines += [f"- join {_show(join)}" for join in edited.joins if not _joins_exist(join, introspected)]
    return lines


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
