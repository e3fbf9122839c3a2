"""Labelled corpora: folders with corpus.jsonl and questions.jsonl."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.document import Document
from contracts.errors import Misconfigured


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
    """Each sub-folder that is a corpus, by name. Raises: Misconfigured: there is none."""
    corpora = [_read(path.parent) for path in sorted(folder.glob("*/corpus.jsonl"))]
    if not corpora:
        raise Misconfigured(f"There is no corpus in {folder}.", remedy="Name a folder with --data.")
    return corpora


def text_of(passage: Document) -> str:
    return passage.content.decode()


def plain(text: str) -> str:
    """Without what does not count when texts are compared: case, and the kind of white space."""
    return " ".join(text.lower().split())


def _read(folder: Path) -> Corpus:
    passages = tuple(_passage(line) for line in _lines(folder / "corpus.jsonl"))
    texts = {passage.id: plain(text_of(passage)) for passage in passages}
    questions = tuple(_question(line, texts) for line in _lines(folder / "questions.jsonl"))
    return Corpus(folder.name, passages, questions)


def _lines(path: Path) -> Sequence[str]:
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def _passage(line: str) -> Document:
    fields = json.loads(line)
    content = base64.b64encode(fields["text"].encode())
    return Document(id=fields["id"], title=fields["title"], media_type="text/plain", content=content)


def _question(line: str, texts: Mapping[str, str]) -> Labelled:
    fields = json.loads(line)
    gold, answers = frozenset(fields["gold_ids"]), tuple(fields.get("answers", ()))
    return Labelled(
        id=str(fields["id"]),
        question=fields["question"],
        gold=gold,
        answers=answers,
        spans=tuple(a for a in answers if a.strip() and any(plain(a) in texts.get(g, "") for g in gold)),
        answerable=fields.get("answerable", True),
    )
