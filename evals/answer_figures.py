"""Figures over answered questions: one object, or lines with intervals and the failures."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from askfleet.answer_judge import CitedSentence, cited_sentences, contains, recall, supported
from evals.answering import Answered
from evals.phoenix import Case
from workers.proportions import wilson

_REFUSED_KINDS = ("foreign", "perturbed", "unanswerable")
_SHOWN_CHARS = 300


@dataclass(frozen=True)
class Share:
    hits: int
    total: int

    @property
    def value(self) -> float:
        return round(self.hits / self.total, 4) if self.total else 0.0

    @classmethod
    def of(cls, found: Iterable[bool]) -> "Share":
        listed = list(found)
        return cls(sum(listed), len(listed))

    def __str__(self) -> str:
        low, high = wilson(self.hits, self.total)
        return f"{self.value:.3f} ({max(low, 0.0):.3f} to {high:.3f}) of {self.total}"


@dataclass(frozen=True)
class Judged:
    """An answer and what it is measured by."""

    answered: Answered

    @property
    def corpus(self) -> str:
        return self.answered.ask.corpus

    @property
    def kind(self) -> str:
        return self.answered.ask.kind

    @property
    def refused(self) -> bool:
        return not self.answered.done.answered

    @property
    def contains_span(self) -> bool:
        """A refusal contains nothing, whatever it names."""
        return not self.refused and contains(self.answered.done.text, self.answered.ask.labelled.spans)

    @property
    def recall(self) -> float:
        return 0.0 if self.refused else recall(self.answered.done.text, self.answered.ask.labelled.answers)

    @cached_property
    def citations(self) -> list[tuple[CitedSentence, bool]]:
        """Each cited sentence, and whether its passages hold what it says."""
        cited = {citation.number for citation in self.answered.done.citations}
        texts = {
            number: f"{passage.title} {' '.join(passage.heading_path)} {passage.text}"
            for number, passage in enumerate(self.answered.passages, 1)
            if number in cited
        }
        return [(said, supported(said, texts)) for said in cited_sentences(self.answered.done.text)]

    @property
    def gold_cited(self) -> list[bool]:
        """For each citation, whether it is of a passage that holds the answer."""
        gold = self.answered.ask.labelled.gold
        return [citation.document_id in gold for citation in self.answered.done.citations]


def summary(answered: Sequence[Answered]) -> dict[str, object]:
    judged = [Judged(found) for found in answered]
    figures: dict[str, object] = {name: _of_corpus(found) for name, found in _by_corpus(judged)}
    shares = {name: share for name, share in _shares(judged) if share.total}
    figures |= {name: share.value for name, share in shares.items()}
    return figures | {"median_ms": round(_median_ms(judged), 1), "n": len(judged)}


def _of_corpus(judged: Sequence[Judged]) -> dict[str, float]:
    own = [found for found in judged if found.kind == "own"]
    spans = _spans(own)
    figures: dict[str, float] = {"n": len(own), "refused": sum(found.refused for found in own)}
    if spans.total:
        figures |= {"containment": spans.value, "n_spans": spans.total}
    figures |= {
        "answer_recall": round(statistics.fmean(found.recall for found in own), 4) if own else 0.0,
        "words": round(statistics.fmean(_words(found) for found in own), 1) if own else 0.0,
    }
    return figures | {name: share.value for name, share in _shares(judged) if share.total}


def _shares(judged: Sequence[Judged]) -> Iterator[tuple[str, Share]]:
    own = [found for found in judged if found.kind == "own"]
    said = [found for found in own if not found.refused]
    beside = [found for found in judged if found.kind in _REFUSED_KINDS]
    yield "citation_precision", Share.of(held for found in own for _, held in found.citations)
    yield "gold_cited", Share.of(right for found in said for right in found.gold_cited)
    yield "false_refusal", Share.of(found.refused for found in own)
    yield "refusal", Share.of(found.refused for found in beside)
    for kind in _REFUSED_KINDS:
        yield f"refusal_{kind}", Share.of(found.refused for found in beside if found.kind == kind)


def _spans(own: Iterable[Judged]) -> Share:
    return Share.of(found.contains_span for found in own if found.answered.ask.labelled.spans)


def as_text(answered: Sequence[Answered]) -> Iterator[str]:
    judged = [Judged(found) for found in answered]
    for name, found in (*_by_corpus(judged), ("all", judged)):
        own = [one for one in found if one.kind == "own"]
        shares = [("containment", _spans(own)), *_shares(found)]
        yield f"{name}: {len(own)} questions of its own"
        yield from (f"  {label:20s} {share}" for label, share in shares if share.total)
    yield f"median {_median_ms(judged):.1f} ms a question, search included"


def cases(answered: Sequence[Answered]) -> list[Case]:
    """For Phoenix: each question with what was wanted and what came."""
    return [_case(found) for found in map(Judged, answered)]


def _case(found: Judged) -> Case:
    ask, done = found.answered.ask, found.answered.done
    own = ask.kind == "own"
    scores = {"right_to_answer": float(found.refused is not own)}
    if own and ask.labelled.spans:
        scores["containment"] = float(found.contains_span)
    if own:
        scores["answer_recall"] = found.recall
    if found.citations:
        scores["citation_precision"] = statistics.fmean(held for _, held in found.citations)
    return Case(
        {"question": ask.labelled.question, "corpus": ask.corpus, "kind": ask.kind},
        {"answers": list(ask.labelled.answers) if own else []},
        {"text": done.text, "answered": done.answered, "took_ms": round(found.answered.took_ms, 1)},
        scores,
    )


def failures(answered: Sequence[Answered]) -> Iterator[str]:
    for found in map(Judged, answered):
        asked = found.answered.ask.labelled
        for problem in _problems(found):
            said = " ".join(found.answered.done.text.split())[:_SHOWN_CHARS]
            expected = list(asked.answers)
            yield f"{found.corpus}: {problem}: {asked.question}\n  expected {expected}\n  got {said}"


def _problems(found: Judged) -> Iterator[str]:
    if found.kind != "own":
        if not found.refused:
            yield f"{found.kind} question answered"
        return
    if found.refused:
        yield "refused"
    elif found.answered.ask.labelled.spans and not found.contains_span:
        yield "without the answer"
    for said, held in found.citations:
        if not held:
            yield f"not in what it cites: {said.text!r}"


def _by_corpus(judged: Sequence[Judged]) -> list[tuple[str, list[Judged]]]:
    names = dict.fromkeys(found.corpus for found in judged)
    return [(name, [found for found in judged if found.corpus == name]) for name in names]


def _words(found: Judged) -> int:
    return len(found.answered.done.text.split())


def _median_ms(judged: Sequence[Judged]) -> float:
    return statistics.median(found.answered.took_ms for found in judged) if judged else 0.0
