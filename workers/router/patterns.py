"""The file of patterns, and how one becomes a question."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import yaml

from workers.catalogue.linking import SchemaIndex
from workers.catalogue.model import Column, Entity, Kind, Role, SemanticModel

_FILE = Path(__file__).with_name("phrases.yaml")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_MARKS: dict[str, tuple[Kind, Role]] = {"#": ("number", "measure"), "@": ("date", "date")}


@dataclass(frozen=True)
class Note:
    """A short document of our own."""

    title: str
    text: str
    heading_path: tuple[str, ...] = ()


@dataclass(frozen=True)
class World:
    """A small schema of our own and documents of the same field."""

    model: SemanticModel
    notes: tuple[Note, ...]

    @cached_property
    def index(self) -> SchemaIndex:
        return SchemaIndex(self.model)


@dataclass(frozen=True)
class Patterns:
    """`by_kind` are the patterns, `fill` what general slots are filled with."""

    by_kind: Mapping[str, tuple[str, ...]]
    fill: Mapping[str, tuple[str, ...]]
    worlds: tuple[World, ...] = field(default=())


def read() -> Patterns:
    raw = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    kinds = ("sql", "documents", "questions_of_help", "policy", "world", "direct", "both")
    return Patterns(
        by_kind={kind: tuple(raw[kind]) for kind in kinds},
        fill={slot: tuple(map(str, found)) for slot, found in raw["fill"].items()},
        worlds=tuple(_world(domain) for domain in raw["domains"]),
    )


def spell_out(pattern: str, slots: Mapping[str, Sequence[str]], rng: random.Random) -> str | None:
    """One question of a pattern; None when a slot has nothing to fill it."""
    text = pattern
    while _CHOICE.search(text):
        text = _CHOICE.sub(lambda found: rng.choice(found.group(1).split("|")), text)
    for slot in set(_SLOT.findall(text)):
        if not slots.get(slot):
            return None
    filled = _SLOT.sub(lambda found: rng.choice(slots[found.group(1)]), text)
    return " ".join(filled.split())


def _world(domain: Mapping[str, object]) -> World:
    tables = domain["tables"]
    notes = domain["notes"]
    assert isinstance(tables, dict)
    assert isinstance(notes, list)
    entities = tuple(_entity(name, columns) for name, columns in tables.items())
    return World(
        SemanticModel(entities=entities, joins=()), tuple(Note(title, text) for title, text in notes)
    )


def _entity(name: str, columns: Sequence[str]) -> Entity:
    return Entity(
        schema="public",
        table=name.replace(" ", "_"),
        name=name,
        columns=(Column("id", "number", "id"), *(_column(described) for described in columns)),
    )


def _column(described: str) -> Column:
    name, _, values = described.partition("=")
    kind, role = _MARKS.get(name[-1], ("text", "dimension"))
    plain = name.rstrip("#@").replace(" ", "_")
    return Column(plain, kind, role, values=tuple(values.split("|")) if values else ())
