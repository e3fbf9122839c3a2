"""Labelled corpora: folders with corpus.jsonl and questions.jsonl."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from askfleet.answer_judge import plain
from contracts.document import Document
from contracts.errors import Misconfigured

T = TypeVar("T")
_Fields = Mapping[str, Any]
"""A line of a file, as JSON gives it."""


@dataclass(frozen=True)
class Labelled:
    """A question, the passages that hold its answer, and the answers accepted.

    `spans` are the answers that stand word for word in such a passage; `answerable`: by its corpus.
    """

    id: str
    question: str
    gold: frozenset[str]
    answers: tuple[str, ...]
    spans: tuple[str, ...]
    answerable: bool


@dataclass(frozen=True)
class Corpus:
    name: str
    passages: tuple[Document, ...]
    questions: tuple[Labelled, ...]


def read_corpora(folder: Path) -> list[Corpus]:
    """Each sub-folder that is a corpus, by name; a folder that is a corpus itself counts as one.

    Raises: Misconfigured: there is none, or a file of one is missing or is not as it should be.
    """
    found = sorted(folder.glob("*/corpus.jsonl")) or list(folder.glob("corpus.jsonl"))
    if not found:
        what = f"There is no corpus in {folder}" if folder.is_dir() else f"There is no folder {folder}"
        remedy = "Name with --data a folder of folders with corpus.jsonl and questions.jsonl."
        raise Misconfigured(f"{what}.", remedy=remedy)
    return [_read(path.absolute().parent) for path in found]


def text_of(passage: Document) -> str:
    return passage.content.decode()


def _read(folder: Path) -> Corpus:
    passages = tuple(_each(folder / "corpus.jsonl", _passage))
    texts = {passage.id: plain(text_of(passage)) for passage in passages}
    questions = tuple(_each(folder / "questions.jsonl", lambda fields: _question(fields, texts)))
    return Corpus(folder.name, passages, questions)


def _each(path: Path, read: Callable[[_Fields], T]) -> Iterator[T]:
    if not path.is_file():
        raise Misconfigured(f"{path} is missing.", remedy="docs/quality.md describes the files of a corpus.")
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield read(json.loads(line))
        except KeyError as error:
            raise Misconfigured(f"{path}, line {number}: there is no {error}.") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise Misconfigured(f"{path}, line {number}: {error}") from error


def _passage(fields: _Fields) -> Document:
    content = base64.b64encode(fields["text"].encode())
    return Document(
        id=str(fields["id"]), title=fields.get("title", ""), media_type="text/plain", content=content
    )


def _question(fields: _Fields, texts: Mapping[str, str]) -> Labelled:
    gold, answers = frozenset(map(str, fields["gold_ids"])), tuple(fields.get("answers", ()))
    return Labelled(
        id=str(fields["id"]),
        question=fields["question"],
        gold=gold,
        answers=answers,
        spans=tuple(a for a in answers if a.strip() and any(plain(a) in texts.get(g, "") for g in gold)),
        answerable=fields.get("answerable", True),
    )
