"""The corpus of what must not get through: statements by what they try, and questions.

Written by hand for the tables of `shop`. A statement is tried against the guard and, with the guard off,
against the database role.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parent / "safety"


@dataclass(frozen=True)
class Question:
    """`obeyed` is what a language model that does as the question says would write."""

    question: str
    obeyed: str


def _read(name: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = yaml.safe_load((_FOLDER / name).read_text(encoding="utf-8"))
    return found


STATEMENTS: dict[str, tuple[str, ...]] = {
    kind: tuple(map(str, group)) for kind, group in _read("statements.yaml").items()
}
"""By what they try."""


def questions(group: str) -> tuple[Question, ...]:
    return tuple(Question(**item) for item in _read("questions.yaml")[group])
