"""The first draft of a semantic model file: what was read from the database, with comments for the person.

What the database says anyway (comments, sizes, values) stands as YAML comments, so that it is read anew at
each start; what a person may want to change stands as fields.
"""

from collections.abc import Iterator

import yaml

from workers.catalogue.model import Column, Entity, Formula, Join, SemanticModel

_HEAD = """\
# What people call the tables and columns of this database. Types, keys, values and comments are read from the
# database at each start; what is left out of this file stays as it was found.
#   synonyms: other names for a table, a column or a formula      unit: EUR, kg, minutes, percent, ...
#   display: the columns that name a row to a person              labels: {US: United States}
#   hidden: true keeps a table or column out of every statement   kind: never switches a join off
# `askfleet sql model check FILE` finds mistakes; `askfleet sql model diff FILE` says what changed.
"""
_FORMULAS = """\
# Figures that no column holds: an expression over table.column, or the same in words. For example:
#   - name: gross profit margin
#     synonyms: [GPM]
#     sql: (sum(sales.price) - sum(sales.cost)) / sum(sales.price) * 100
#     unit: percent
"""
_VERIFIED = """\
# Questions whose statement you have checked. It answers the question as it stands, in other words of asking
# (also: [...]), and for another value of the same column. For example:
#   - question: How many customers in Oslo are overdue?
#     sql: select count(*) from customers where city = 'Oslo' and due < current_date
"""
_SHOWN_VALUES = 6
_MAX_CATEGORIES = 30
"""A text column with more values may hold names of people: none of them is written down."""


def draft(model: SemanticModel) -> str:
    lines = [_HEAD, "entities:" if model.entities else "entities: []"]
    for entity in model.entities:
        lines += _entity(entity)
    lines.append("\njoins:" if model.joins else "\njoins: []")
    lines += [_join(join) for join in model.joins]
    lines.append(f"\n{_FORMULAS}formulas:{'' if model.formulas else ' []'}")
    lines += [line for formula in model.formulas for line in _formula(formula)]
    lines.append(f"\n{_VERIFIED}verified: []")
    return "\n".join(lines) + "\n"


def _entity(entity: Entity) -> Iterator[str]:
    size = f"about {entity.row_estimate:,} rows" if entity.row_estimate else ""
    said = _comment(size, entity.description)
    yield f"{said and f'  # {said}' + chr(10)}  - schema: {_flow(entity.schema)}"
    yield f"    table: {_flow(entity.table)}"
    yield f"    name: {_flow(entity.name)}"
    yield f"    synonyms: {_flow(list(entity.synonyms))}"
    if entity.display:
        yield f"    display: {_flow(list(entity.display))}"
    if entity.hidden:
        yield "    hidden: true"
    yield "    columns:"
    yield from (f"      {_column(column)}" for column in entity.columns)


def _column(column: Column) -> str:
    fields: dict[str, object] = {"name": column.name, "kind": column.kind}
    if column.role != "dimension":
        fields["role"] = column.role
    more = {"synonyms": list(column.synonyms), "unit": column.unit, "hidden": column.hidden}
    fields |= {name: value for name, value in more.items() if value}
    few = column.values if len(column.values) <= _MAX_CATEGORIES else ()
    rest = " and more" if len(few) > _SHOWN_VALUES else ""
    values = f"e.g. {', '.join(few[:_SHOWN_VALUES])}{rest}" if few else ""
    said = _comment(column.description, values)
    return f"- {_flow(fields)}{f'  # {said}' if said else ''}"


def _join(join: Join) -> str:
    fields: dict[str, object] = {
        "left": join.left, "right": join.right, "columns": [list(pair) for pair in join.columns],
    }  # fmt: skip
    implied = "" if join.kind == "foreign key" else "  # by its name; no key is declared"
    if join.kind != "foreign key":
        fields["kind"] = join.kind
    return f"  - {_flow(fields)}{implied}"


def _formula(formula: Formula) -> Iterator[str]:
    if formula.table:
        yield f"  # learned from a comment on {_comment(formula.table)}"
    for index, name in enumerate(("name", "synonyms", "sql", "words", "unit", "table")):
        value = getattr(formula, name)
        if value:
            shown = _flow(list(value) if isinstance(value, tuple) else value)
            yield f"  {'- ' if index == 0 else '  '}{name}: {shown}"


def _flow(value: object) -> str:
    """One line of YAML."""
    text = yaml.safe_dump(
        [value], default_flow_style=True, width=100_000, allow_unicode=True, sort_keys=False
    )
    return text.strip()[1:-1]


def _comment(*parts: str) -> str:
    """One line, without what would end the comment or hide in it."""
    text = ". ".join(part.rstrip(".") for part in parts if part)
    plain = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(plain.split())
