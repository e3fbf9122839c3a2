"""What was measured, one JSON line a point; a sweep that was interrupted goes on behind it."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from askfleet.answer_judge import contains
from askfleet.tuning.measurement import Answer, Outcome
from askfleet.tuning.questions import Question
from contracts.errors import Misconfigured

_MAX_TAIL = 0.95


class Figures(BaseModel):
    """Of one point. Times in ms and medians where nothing else is said; None where nothing could be measured.

    `first_ms` and `slow_first_ms` (95th percentile) are from asking until the first text, over the answers
    for which a model was asked; `token_ms` is between two tokens.
    """

    model_config = ConfigDict(frozen=True)

    questions: int
    right: int
    refused: int
    broken: int
    first_ms: float | None = None
    slow_first_ms: float | None = None
    token_ms: float | None = None
    answers_per_s: float = 0.0
    tokens_per_s: float = 0.0
    prompt_tokens: float = 0.0
    cached_share: float = 0.0
    memory_mib: float = 0.0
    ready_s: float = 0.0

    @property
    def quality(self) -> float:
        """Share of the questions that were answered right."""
        return self.right / self.questions


class Row(BaseModel):
    """A point and what came of it: `figures`, or in `reason` why there are none."""

    model_config = ConfigDict(frozen=True)

    key: str
    values: tuple[tuple[str, str], ...]
    at: str
    machine: str
    figures: Figures | None = None
    reason: str = ""


class ResultsFile:
    """Lines are added only: of two with one key the later counts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self) -> dict[str, Row]:
        """By key. A last line that was cut off is left out. Raises: Misconfigured: another line is no row."""
        if not self._path.is_file():
            return {}
        lines = self._path.read_text(encoding="utf-8").split("\n")
        rows: dict[str, Row] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = Row.model_validate_json(line)
            except ValidationError as error:
                if number == len(lines):
                    break
                raise Misconfigured(
                    f"{self._path}, line {number} is not a result.", remedy="Give --out a new folder."
                ) from error
            rows[row.key] = row
        return rows

    def add(self, row: Row) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+b") as lines:
            lines.seek(0)
            # A killed run may have left a part of a line: it must not take this one with it.
            lines.truncate(lines.read().rfind(b"\n") + 1)
            lines.write(f"{row.model_dump_json()}\n".encode())


def is_right(question: Question, answer: Answer) -> bool:
    """An accepted text stands in the answer; where none is accepted, that it was refused."""
    if not question.answers:
        return not answer.answered and not answer.problem
    return answer.answered and contains(answer.text, question.answers)


def figures_of(
    questions: Sequence[Question], answers: Sequence[Answer], outcome: Outcome, *, memory_mib: float
) -> Figures:
    by_id = {answer.id: answer for answer in answers}
    firsts = [answer.first_text_ms for answer in answers if answer.model and answer.first_text_ms is not None]
    asked = [answer for answer in answers if answer.prompt_tokens]
    prompt_tokens = sum(answer.prompt_tokens for answer in asked)
    return Figures(
        questions=len(questions),
        right=sum(is_right(question, by_id[question.id]) for question in questions),
        refused=sum(not answer.answered and not answer.problem for answer in answers),
        broken=sum(bool(answer.problem) for answer in answers),
        first_ms=statistics.median(firsts) if firsts else None,
        slow_first_ms=_percentile(firsts, _MAX_TAIL) if firsts else None,
        token_ms=statistics.median(outcome.token_ms) if outcome.token_ms else None,
        answers_per_s=(len(answers) - sum(bool(a.problem) for a in answers)) / outcome.asked_s,
        tokens_per_s=sum(answer.tokens for answer in answers) / outcome.asked_s,
        prompt_tokens=statistics.median(answer.prompt_tokens for answer in asked) if asked else 0.0,
        cached_share=sum(a.cached_tokens for a in asked) / prompt_tokens if prompt_tokens else 0.0,
        memory_mib=memory_mib,
        ready_s=outcome.ready_s,
    )


def _percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least that share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]
