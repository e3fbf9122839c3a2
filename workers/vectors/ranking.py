"""From what was found by meaning and by words to one order, and to a score that says how well a passage fits.

A score is the logistic of a weighted sum of three figures, each comparable between questions, tenants and
collections: the cosine of question and passage; the BM25 score s, saturated as s / (s + 20); and the share
of the question's words that one sentence of the passage holds, rare words weighing more. The weights lie on a
plateau: `askfleet eval retrieval --ablation` shows how little others change.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.vectors.sentences import content_words, sentences_with


@dataclass(frozen=True, slots=True)
class Candidate:
    """`meaning` is the passage's cosine, `words` its BM25 score; None: not among the best of that search."""

    key: str
    text: str
    meaning: float | None
    words: float | None


@dataclass(frozen=True)
class Weights:
    words: float = 0.75
    sentence: float = 0.35
    half_words: float = 20.0
    """The BM25 score that counts half."""
    middle: float = 0.72
    """The sum that gives the score 0.5: below it hardly any question has its answer in the passage."""
    steepness: float = 8.0


DEFAULT_WEIGHTS = Weights()
RELEVANT = 0.5
"""A best passage with a lower score seldom holds the answer."""


def ranked(
    question: str, found: Sequence[Candidate], weights: Weights = DEFAULT_WEIGHTS
) -> list[tuple[Candidate, float]]:
    """Best first, each with its score from 0 to 1."""
    scored = zip(found, _sums(question, found, weights), strict=True)
    order = sorted(scored, key=lambda pair: -pair[1])
    return [(candidate, _logistic(total, weights)) for candidate, total in order]


def _sums(question: str, found: Sequence[Candidate], weights: Weights) -> list[float]:
    """A passage that one search did not bring counts there like the last that it brought."""
    last_meaning = min((c.meaning for c in found if c.meaning is not None), default=0.0)
    by_words = [c.words for c in found if c.words is not None]
    # Fewer than the other search brought: the rest holds no word of the question.
    full = len(by_words) >= sum(c.meaning is not None for c in found)
    last_words = min(by_words) if by_words and full else 0.0
    shares = _sentence_shares(question, [c.text for c in found])
    sums = []
    for candidate, share in zip(found, shares, strict=True):
        meaning = last_meaning if candidate.meaning is None else candidate.meaning
        words = last_words if candidate.words is None else candidate.words
        sums.append(meaning + weights.words * words / (words + weights.half_words) + weights.sentence * share)
    return sums


def _logistic(total: float, weights: Weights) -> float:
    return round(1 / (1 + math.exp(-weights.steepness * (total - weights.middle))), 4)


def _sentence_shares(question: str, texts: Sequence[str]) -> list[float]:
    """The largest share of the question's words that a sentence of each text holds.

    A word weighs ln(1 + (texts + 1) / (texts with it + 1)).
    """
    asked = dict.fromkeys(content_words(question))
    held = [sentences_with(text) for text in texts]
    weight = {
        word: math.log(1 + (len(texts) + 1) / (sum(word in found for found in held) + 1)) for word in asked
    }
    total = math.fsum(weight.values())
    return [_best_sentence(weight, found) / total if total else 0.0 for found in held]


def _best_sentence(weight: Mapping[str, float], places: Mapping[str, Sequence[int]]) -> float:
    held: dict[int, float] = {}
    for word, worth in weight.items():
        for place in places.get(word, ()):
            held[place] = held.get(place, 0.0) + worth
    return max(held.values(), default=0.0)
