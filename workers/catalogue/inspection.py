"""Mistakes in a semantic model file, each with its line, what is wrong, and what to do about it.

Needs no database: the model that was read from one is compared with the file.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from workers.catalogue.model import Entity, SemanticModel
from workers.catalogue.words import key_of, split_identifier

Code = Literal[
    "not-yaml", "wrong-shape", "given-twice", "unknown-table", "unknown-column", "unknown-join",
    "synonym-collides", "formula-refused", "formula-failed", "verified-refused", "verified-failed",
]  # fmt: skip
Path = tuple[int | str, ...]
_QUOTE = "Correct the YAML; a text with any of : ? # , [ ] { } in it needs quotes."
_MODEL = TypeAdapter(SemanticModel)


@dataclass(frozen=True)
class Finding:
    """`line` counts from 1; `where` names the entry: `public.orders.total`."""

    line: int
    code: Code
    where: str
    detail: str
    remedy: str


class Source:
    """The text of a file with the lines of its entries."""

    def __init__(self, text: str) -> None:
        self._root = yaml.compose(text, Loader=yaml.SafeLoader)

    def line(self, path: Path) -> int:
        """Of the deepest entry that the path reaches."""
        node, line = self._root, 1
        for part in path:
            if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
                continue
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            pair = next(((key, value) for key, value in pairs if key.value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        return line


def parse(text: str) -> tuple[SemanticModel | None, Source | None, list[Finding]]:
    """The model, or what keeps the file from being one: every wrong field, not only the first."""
    try:
        raw, source = yaml.safe_load(text), Source(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return None, None, [Finding(line, "not-yaml", "the file", f"{error.problem}", _QUOTE)]
    except yaml.YAMLError as error:
        return None, None, [Finding(1, "not-yaml", "the file", str(error), _QUOTE)]
    try:
        return _MODEL.validate_python(raw if raw is not None else {}), source, []
    except ValidationError as error:
        return None, source, [_shape(dict(item), source) for item in error.errors(include_url=False)]


def _shape(error: dict[str, object], source: Source) -> Finding:
    loc = tuple(part for part in error["loc"] if isinstance(part, int | str))  # type: ignore[attr-defined]
    where = ".".join(str(part) for part in loc) or "the file"
    if error["type"] == "unexpected_keyword_argument":
        return Finding(
            source.line(loc),
            "wrong-shape",
            where,
            f"There is no field {loc[-1]!r} here.",
            "Correct its name.",
        )
    shown = repr(error["input"])
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return Finding(
        source.line(loc), "wrong-shape", where, f"{error['msg']} (got {shown}).", "Correct the value."
    )


def inspect(model: SemanticModel, source: Source, live: SemanticModel) -> list[Finding]:
    """What the database does not have, and names that stand for two things."""
    findings = [
        *_doubles(model, source), *_tables(model, source, live), *_joins(model, source, live),
        *_collisions(model, source, live),
    ]  # fmt: skip
    return sorted(findings, key=lambda finding: finding.line)


def _tables(model: SemanticModel, source: Source, live: SemanticModel) -> Iterator[Finding]:
    for at, entity in enumerate(model.entities):
        found = live.entity(entity.key)
        if found is None:
            near = closest(entity.key, [known.key for known in live.entities])
            detail = f"The database has no table {entity.key}{near}."
            yield Finding(
                source.line(("entities", at, "table")), "unknown-table", entity.key, detail,
                "Correct the name, or take the table out of the file.",
            )  # fmt: skip
            continue
        named: list[tuple[Path, str]] = [
            (("columns", n, "name"), column.name) for n, column in enumerate(entity.columns)
        ]
        named += [(("display", n), name) for n, name in enumerate(entity.display)]
        named += [(("primary_key", n), name) for n, name in enumerate(entity.primary_key)]
        for path, name in named:
            if found.column(name) is None:
                yield _missing(found, name, source.line(("entities", at, *path)))


def _missing(entity: Entity, name: str, line: int) -> Finding:
    near = closest(name, [column.name for column in entity.columns])
    return Finding(
        line, "unknown-column", f"{entity.key}.{name}", f"{entity.key} has no column {name!r}{near}.",
        "Correct the name, or take the column out of the file.",
    )  # fmt: skip


def _joins(model: SemanticModel, source: Source, live: SemanticModel) -> Iterator[Finding]:
    for at, join in enumerate(model.joins):
        for side, key, names in (
            ("left", join.left, [left for left, _ in join.columns]),
            ("right", join.right, [right for _, right in join.columns]),
        ):
            line, entity = source.line(("joins", at, side)), live.entity(key)
            if entity is None:
                near = closest(key, [known.key for known in live.entities])
                yield Finding(
                    line, "unknown-join", f"{join.left} to {join.right}",
                    f"The database has no table {key}{near}.", "Correct the join, or take it out.",
                )  # fmt: skip
                continue
            yield from (_missing(entity, name, line) for name in names if entity.column(name) is None)


def _doubles(model: SemanticModel, source: Source) -> Iterator[Finding]:
    keys = [entity.key for entity in model.entities]
    for at, entity in enumerate(model.entities):
        if entity.key in keys[:at]:
            yield _double(source.line(("entities", at)), entity.key)
        names = [column.name for column in entity.columns]
        for n, name in enumerate(names):
            if name in names[:n]:
                yield _double(source.line(("entities", at, "columns", n)), f"{entity.key}.{name}")
    asked = [question.strip().lower() for query in model.verified for question in query.questions]
    for at, query in enumerate(model.verified):
        if asked.count(query.question.strip().lower()) > 1:
            yield _double(source.line(("verified", at)), query.question)


def _double(line: int, where: str) -> Finding:
    return Finding(line, "given-twice", where, f"{where} is given twice.", "Keep one of the two.")


def _collisions(model: SemanticModel, source: Source, live: SemanticModel) -> Iterator[Finding]:
    """A name for two tables, for two columns of a table, or for a formula and a table or column."""
    keys = [*(entity.key for entity in live.entities), *(entity.key for entity in model.entities)]
    tables = [(key, name) for key in dict.fromkeys(keys) for name in _entity_names(key, model, live)]
    for at, entity in enumerate(model.entities):
        others = [(key, name) for key, name in tables if key != entity.key]
        yield from _taken(entity.synonyms, others, source, ("entities", at, "synonyms"))
        columns = _columns(entity, live)
        for n, column in enumerate(entity.columns):
            others = [(f"{entity.key}.{owner}", name) for owner, name in columns if owner != column.name]
            path = ("entities", at, "columns", n, "synonyms")
            yield from _taken(column.synonyms, others, source, path)
    named = [*tables, *((f"formula {f.name}", name) for f in model.formulas for name in f.names)]
    for at, formula in enumerate(model.formulas):
        others = [(key, name) for key, name in named if key != f"formula {formula.name}"]
        yield from _taken(formula.names, others, source, ("formulas", at, "name"))


def _entity_names(key: str, model: SemanticModel, live: SemanticModel) -> tuple[str, ...]:
    edited, found = model.entity(key), live.entity(key)
    chosen = edited or found
    if chosen is None or chosen.hidden:
        return ()
    return (chosen.table, chosen.name, *chosen.synonyms)


def _columns(entity: Entity, live: SemanticModel) -> list[tuple[str, str]]:
    """Every name of every visible column, with its column."""
    found = live.entity(entity.key)
    rest = [column for column in (found.columns if found else ()) if entity.column(column.name) is None]
    every = [column for column in (*entity.columns, *rest) if not column.hidden]
    return [(column.name, name) for column in every for name in (column.name, *column.synonyms)]


def _taken(
    names: Sequence[str], others: Iterable[tuple[str, str]], source: Source, path: Path
) -> Iterator[Finding]:
    owners = {_key(name): owner for owner, name in others}
    for at, name in enumerate(names):
        owner = owners.get(_key(name))
        if owner is not None:
            yield Finding(
                source.line((*path, at)), "synonym-collides", name,
                f"{name!r} is a name of {owner} already.", "Choose another word, or take one of the two out.",
            )  # fmt: skip


def _key(name: str) -> str:
    return key_of(split_identifier(name))


def closest(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; the nearest name is {near[0]!r}" if near else ""
