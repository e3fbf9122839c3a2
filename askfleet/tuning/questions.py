"""A question set: JSON lines of questions with the answers that are accepted, and their passages."""

import hashlib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts import Passage
from contracts.errors import Misconfigured
from contracts.query import NonBlank

SAMPLE = Path(str(files("askfleet.sample").joinpath("questions.jsonl")))
"""Questions over our own documentation."""
_SHAPE = 'Each line is an object such as {"question": "...", "answers": ["..."]}.'


class Found(BaseModel):
    """A passage of evidence; `score` as retrieval states it, 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: str = Field(min_length=1)
    title: str = ""
    heading_path: tuple[str, ...] = ()
    source: str = ""
    score: float = Field(default=0.9, ge=0, le=1)

    @classmethod
    def of(cls, passage: Passage) -> "Found":
        return cls.model_validate(passage.model_dump(include=set(cls.model_fields)))

    def passage(self, number: int) -> Passage:
        name = self.source or f"passage-{number}"
        return Passage(
            chunk_id=f"{name}#{number}",
            document_id=name,
            title=self.title,
            heading_path=self.heading_path,
            source=self.source,
            text=self.text,
            score=self.score,
        )


class Question(BaseModel):
    """Without an accepted answer it must be refused. `passages`: best first; None: to be found."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    id: str = ""
    question: NonBlank
    answers: tuple[str, ...] = ()
    passages: tuple[Found, ...] | None = None


def read_questions(path: Path, *, limit: int | None = None) -> list[Question]:
    """Those of a file, `limit` of them evenly spread.

    Raises: Misconfigured: it is missing, empty, or a line is not as it should be.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} can't be read: {error}.", remedy="Check --questions.") from error
    questions = list(_each(path, lines))
    if not questions:
        raise Misconfigured(f"{path} holds no question.", remedy=_SHAPE)
    step = 1 if limit is None else max(1, -(-len(questions) // limit))
    return questions[::step]


def write_questions(questions: Sequence[Question], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{question.model_dump_json()}\n" for question in questions), encoding="utf-8")


def digest(questions: Sequence[Question]) -> str:
    """Changes with any question, answer or passage."""
    text = "\n".join(question.model_dump_json() for question in questions)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _each(path: Path, lines: Sequence[str]) -> Iterator[Question]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            question = Question.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the line"
            raise Misconfigured(f"{path}, line {number}: {where}: {first['msg']}.", remedy=_SHAPE) from error
        yield question if question.id else question.model_copy(update={"id": str(number)})
