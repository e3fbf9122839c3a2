"""The same candidates in other orders: what each part of the ranking gives, and whether it is fitted."""

import itertools
import statistics
from collections.abc import Iterator, Sequence

from evals.retrieval_figures import FAR, Asked, Order, as_ranked, by_corpus, hits, rank, reciprocal
from workers.vectors.ranking import Candidate, Weights, ranked

_RRF_K = 60
_WORDS = (0.25, 0.5, 0.75, 1.0, 1.5)
_SENTENCE = (0.0, 0.2, 0.35, 0.5, 0.8)


def table(asked: Sequence[Asked]) -> Iterator[str]:
    corpora = by_corpus(asked)
    yield ""
    yield f"{'order':44s}" + "".join(f"{name[:24]:>26s}" for name in corpora)
    yield f"{'':44s}" + f"{'hit@1   hit@5     MRR':>26s}" * len(corpora)
    for name, order in _ORDERS.items():
        yield f"{name:44s}" + "".join(_cell(of_corpus, order) for of_corpus in corpora.values())
    if len(corpora) > 1:
        yield f"{'weights chosen on the other corpora':44s}" + "".join(
            _cell(of_corpus, weighted(_chosen([one for one in asked if one.corpus != name])))
            for name, of_corpus in corpora.items()
        )
        for name in corpora:
            best = _chosen([one for one in asked if one.corpus != name])
            yield f"  for {name}: words {best.words:g}, sentence {best.sentence:g}"


def weighted(weights: Weights) -> Order:
    return lambda question, found: [candidate for candidate, _ in ranked(question, found, weights)]


def _cell(asked: Sequence[Asked], order: Order) -> str:
    ranks = [rank(one, order) for one in asked if one.answerable]
    total = max(len(ranks), 1)
    shares = f"{hits(ranks, 1) / total:.3f}   {hits(ranks, FAR) / total:.3f}  {reciprocal(ranks):.4f}"
    return f"{shares:>26s}"


def _chosen(asked: Sequence[Asked]) -> Weights:
    """The best of a grid by the mean of the corpora's reciprocal ranks."""

    def quality(weights: Weights) -> float:
        order = weighted(weights)
        return statistics.fmean(
            reciprocal([rank(one, order) for one in of_corpus if one.answerable])
            for of_corpus in by_corpus(asked).values()
        )

    grid = [Weights(words=w, sentence=s) for w, s in itertools.product(_WORDS, _SENTENCE)]
    return max(grid, key=quality)


def _by_meaning(_question: str, found: Sequence[Candidate]) -> list[Candidate]:
    scored = [(candidate.meaning, candidate) for candidate in found if candidate.meaning is not None]
    return [candidate for _, candidate in sorted(scored, key=lambda pair: -pair[0])]


def _by_words(_question: str, found: Sequence[Candidate]) -> list[Candidate]:
    scored = [(candidate.words, candidate) for candidate in found if candidate.words is not None]
    return [candidate for _, candidate in sorted(scored, key=lambda pair: -pair[0])]


def _by_reciprocal_ranks(question: str, found: Sequence[Candidate]) -> list[Candidate]:
    scores: dict[str, float] = {}
    for order in (_by_meaning(question, found), _by_words(question, found)):
        for place, candidate in enumerate(order, 1):
            scores[candidate.key] = scores.get(candidate.key, 0.0) + 1 / (_RRF_K + place)
    return sorted(found, key=lambda candidate: -scores[candidate.key])


_ORDERS: dict[str, Order] = {
    "by meaning (cosine)": _by_meaning,
    "by words (BM25)": _by_words,
    "reciprocal rank fusion": _by_reciprocal_ranks,
    "meaning and best sentence": weighted(Weights(words=0.0)),
    "weighted scores": weighted(Weights(sentence=0.0)),
    "weighted scores, words half": weighted(Weights(words=0.375, sentence=0.0)),
    "weighted scores, words double": weighted(Weights(words=1.5, sentence=0.0)),
    "weighted scores and best sentence": as_ranked,
    "  sentence half": weighted(Weights(sentence=0.175)),
    "  sentence double": weighted(Weights(sentence=0.7)),
    "  words half": weighted(Weights(words=0.375)),
    "  words double": weighted(Weights(words=1.5)),
    "  BM25 of 10 counts half": weighted(Weights(half_words=10.0)),
    "  BM25 of 40 counts half": weighted(Weights(half_words=40.0)),
}
