"""The corpus of what must not get through: statements by what they try, and questions.

Written by hand for the tables of `shop`. A statement is tried against the guard and, with the guard off,
against the database role.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

_FOLDER = Path(__file__).parent / "safety"


@dataclass(frozen=True)
class Question:
    """`obeyed` is what a language model that does as the question says would write."""

    text: str
    obeyed: str


def _read(name: str) -> dict[str, list[object]]:
    found: dict[str, list[object]] = yaml.safe_load((_FOLDER / name).read_text(encoding="utf-8"))
    return found


STATEMENTS: tuple[str, ...] = tuple(
    str(text) for group in _read("statements.yaml").values() for text in group
)


def questions(group: str) -> tuple[Question, ...]:
    return tuple(Question(*str(line).split(" => ", 1)) for line in _read("questions.yaml")[group])
