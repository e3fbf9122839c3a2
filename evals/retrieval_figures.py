"""What was found for labelled questions, as figures."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evals.corpora import Labelled
from evals.phoenix import Case
from workers.proportions import wilson
from workers.vectors.ranking import RELEVANT, Candidate, ranked

FAR = 5
_FARTHEST = 10
Order = Callable[[str, Sequence[Candidate]], Sequence[Candidate]]
Figures = dict[str, "float | int | Figures"]


@dataclass(frozen=True)
class Asked:
    """What was found among all corpora, and where the question has no answer: in another corpus alone."""

    corpus: str
    labelled: Labelled
    own: tuple[Candidate, ...]
    foreign: tuple[Candidate, ...]
    passages: Mapping[str, str]
    """The passage of a chunk, by the chunk's id."""

    @property
    def answerable(self) -> bool:
        return self.labelled.answerable and bool(self.labelled.gold)

    def is_right(self, candidate: Candidate) -> bool:
        return self.passage_of(candidate) in self.labelled.gold

    def passage_of(self, candidate: Candidate) -> str:
        return self.passages[candidate.key.partition("/")[2]]


@dataclass(frozen=True)
class Separation:
    """How well the score of the best passage tells questions with an answer from those without one."""

    auc: float
    refused: int
    unanswerable: int
    refused_wrongly: int
    answerable: int


def as_ranked(question: str, found: Sequence[Candidate]) -> list[Candidate]:
    return [candidate for candidate, _ in ranked(question, found)]


def cases(asked: Sequence[Asked]) -> list[Case]:
    """For Phoenix: each question that has an answer, with the passages that hold it and those that came."""
    return [_case(found) for found in asked if found.answerable]


def _case(found: Asked) -> Case:
    place = rank(found)
    came = dict.fromkeys(map(found.passage_of, as_ranked(found.labelled.question, found.own)))
    scores = {"recall_at_1": float(place == 1), "recall_at_5": float(0 < place <= 5)}
    return Case(
        {"question": found.labelled.question, "corpus": found.corpus},
        {"passages": sorted(found.labelled.gold)},
        {"passages": list(came)[:_FARTHEST], "rank": place},
        scores | {"reciprocal_rank": 1 / place if place else 0.0},
    )


def rank(asked: Asked, order: Order = as_ranked) -> int:
    """Of the first right passage, from 1; 0: not among the ten best. A passage counts once."""
    passages = dict.fromkeys(map(asked.passage_of, order(asked.labelled.question, asked.own)))
    places = enumerate(list(passages)[:_FARTHEST], 1)
    return next((place for place, passage in places if passage in asked.labelled.gold), 0)


def hits(ranks: Sequence[int], limit: int) -> int:
    return sum(1 <= found <= limit for found in ranks)


def reciprocal(ranks: Sequence[int]) -> float:
    return statistics.fmean(1 / found if found else 0.0 for found in ranks)


def summary(asked: Sequence[Asked]) -> dict[str, Figures]:
    return {name: _figures(of_corpus) for name, of_corpus in by_corpus(asked).items()}


def by_corpus(asked: Sequence[Asked]) -> dict[str, list[Asked]]:
    found: dict[str, list[Asked]] = {}
    for one in asked:
        found.setdefault(one.corpus, []).append(one)
    return found


def separation(asked: Sequence[Asked]) -> Separation | None:
    """The same questions asked where their answer is, and of another corpus; None: there is no other."""
    foreign = [_best(one, one.foreign) for one in asked if one.foreign]
    foreign += [_best(one, one.own) for one in asked if not one.answerable]
    return _separation([_best(one, one.own) for one in asked if one.answerable], foreign)


def without_the_passage(asked: Sequence[Asked]) -> Separation | None:
    """The hard case: every right passage is taken away, what stood beside it is still there."""
    own = [one for one in asked if one.answerable]
    left = [[candidate for candidate in one.own if not one.is_right(candidate)] for one in own]
    foreign = [_best(one, found) for one, found in zip(own, left, strict=True)]
    return _separation([_best(one, one.own) for one in own], foreign)


def as_text(asked: Sequence[Asked]) -> Iterator[str]:
    """The questions without a right passage among the first, then figures with Wilson's intervals at 95 %."""
    for one in asked:
        if one.answerable and (found := rank(one)) != 1:
            yield f"{one.corpus}: rank {found or '-'}: {one.labelled.question}"
    for name, of_corpus in by_corpus(asked).items():
        ranks = [rank(one) for one in of_corpus if one.answerable]
        shares = "  ".join(f"hit@{limit} {share(hits(ranks, limit), len(ranks))}" for limit in (1, FAR))
        yield f"{name:20s} {len(ranks):4d} questions  {shares}  MRR {reciprocal(ranks):.4f}"
    yield ""
    yield f"Answer in the documents or not, told by the best passage's score (refused below {RELEVANT:g}):"
    for name, of_corpus in by_corpus(asked).items():
        yield _told(f"{name}, asked of another corpus", separation(of_corpus))
        yield _told(f"{name}, its passage taken away", without_the_passage(of_corpus))


def share(count: int, total: int) -> str:
    low, high = wilson(count, total)
    return f"{count / max(total, 1):.3f} ({low:.3f} to {high:.3f})"


def _figures(asked: Sequence[Asked]) -> Figures:
    ranks = [rank(one) for one in asked if one.answerable]
    total = max(len(ranks), 1)
    figures: Figures = {
        "hit@1": round(hits(ranks, 1) / total, 4),
        "hit@5": round(hits(ranks, FAR) / total, 4),
        "mrr": round(reciprocal(ranks), 4) if ranks else 0.0,
        "n": len(ranks),
    }
    told = separation(asked)
    if told is not None:
        figures["unanswerable"] = {
            "auc": round(told.auc, 4),
            "refused": round(told.refused / told.unanswerable, 4),
            "refused_wrongly": round(told.refused_wrongly / told.answerable, 4),
            "n": told.unanswerable,
        }
    return figures


def _told(name: str, told: Separation | None) -> str:
    if told is None:
        return f"  {name}: there is nothing to compare"
    return (
        f"  {name}: AUC {told.auc:.4f}, refused {share(told.refused, told.unanswerable)}, "
        f"wrongly {share(told.refused_wrongly, told.answerable)}"
    )


def _best(asked: Asked, found: Sequence[Candidate]) -> float:
    order = ranked(asked.labelled.question, found)
    return order[0][1] if order else 0.0


def _separation(answerable: Sequence[float], unanswerable: Sequence[float]) -> Separation | None:
    if not answerable or not unanswerable:
        return None
    return Separation(
        auc=_auc(answerable, unanswerable),
        refused=sum(score < RELEVANT for score in unanswerable),
        unanswerable=len(unanswerable),
        refused_wrongly=sum(score < RELEVANT for score in answerable),
        answerable=len(answerable),
    )


def _auc(higher: Sequence[float], lower: Sequence[float]) -> float:
    """The chance that one of the first is above one of the second; equal ones count half."""
    won = sum((high > low) + 0.5 * (high == low) for high in higher for low in lower)
    return won / (len(higher) * len(lower))
