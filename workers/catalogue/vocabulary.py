"""What a tenant's documents talk about: words, where they stand, and how rare they are.

Built from a sample of passages; matching a question is a handful of look-ups and one addition per word into
an array as long as the sample.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from workers.catalogue.words import STOP_WORDS, fold, root, word_set

MAX_PASSAGES = 5_000
RARE_SHARE = 0.02
"""A word in fewer of the passages than this is particular to some of them."""

_FUNCTION_WORDS = word_set(
    """am ill im ive dont doesnt cant isnt didnt wont whats hows wheres use used using make made get got go
    going want wants need needs know like just only too very more most less least other another same such than
    after before during over under while without within through because since must should may might shall
    let lets hi hello ok okay thanks mean means does way someone something anything"""
)
_NOT_CONTENT = STOP_WORDS | _FUNCTION_WORDS


class Extract(Protocol):
    """A piece of a document with its place."""

    @property
    def title(self) -> str: ...
    @property
    def heading_path(self) -> Sequence[str]: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True)
class Coverage:
    """How well documents match a question; shares are weighted by rarity and lie in 0..1.

    `best_passage` is the share of the question that the best single passage holds; `phrase` is the pair of
    neighbouring words, or the word, that is particular to `phrase_passages` passages.
    """

    known: float = 0.0
    best_passage: float = 0.0
    headings: float = 0.0
    pairs: float = 0.0
    rare_words: int = 0
    phrase: str = ""
    phrase_passages: int = 0


def content_words(words: Iterable[str]) -> list[str]:
    """Words that carry a subject, as they stand in the question."""
    return [word for word in words if len(word) > 1 and word not in _NOT_CONTENT and not word.isdigit()]


class Vocabulary:
    """Terms of a sample of passages, by their root."""

    def __init__(self, passages: Iterable[Extract]) -> None:
        postings: dict[str, list[int]] = defaultdict(list)
        pairs: Counter[tuple[str, str]] = Counter()
        headings: set[str] = set()
        digest = hashlib.sha256()
        size = 0
        roots: dict[str, str] = {}
        for size, passage in enumerate(_first(passages), start=1):
            head = " ".join((passage.title, *passage.heading_path))
            headings.update(_terms(head, roots))
            terms = _terms(f"{head} {passage.text}", roots)
            pairs.update(set(pairwise(terms)))
            for term in set(terms):
                postings[term].append(size - 1)
            digest.update(passage.text.encode())
        self.passages = size
        self.fingerprint = digest.hexdigest()[:16]
        self._postings = {term: np.asarray(found, dtype=np.int32) for term, found in postings.items()}
        self._pairs = dict(pairs)
        self._headings = frozenset(headings)

    def count(self, term: str) -> int:
        """Passages of the sample that hold a term (a root)."""
        found = self._postings.get(term)
        return 0 if found is None else len(found)

    def weight(self, term: str) -> float:
        """Inverse document frequency, 1 for a word that no passage holds."""
        if not self.passages:
            return 1.0
        return math.log1p(self.passages / (1 + self.count(term))) / math.log1p(self.passages)

    def cover(self, words: Sequence[str]) -> Coverage:
        """Match the words of a question, as `features.words` gives them."""
        content = content_words(words)
        terms = list(dict.fromkeys(root(word) for word in content))
        if not terms or not self.passages:
            return Coverage()
        weights = {term: self.weight(term) for term in terms}
        total = sum(weights.values())
        known = [term for term in terms if term in self._postings]
        neighbours = list(pairwise(content))
        seen = [pair for pair in neighbours if self._pair_count(pair)]
        phrase, held_by = self._particular(content, seen)
        return Coverage(
            known=sum(weights[term] for term in known) / total,
            best_passage=self._best(known, weights) / total,
            headings=sum(weights[term] for term in known if term in self._headings) / total,
            pairs=len(seen) / max(1, len(neighbours)),
            rare_words=sum(self.count(term) <= max(2, RARE_SHARE * self.passages) for term in known),
            phrase=phrase,
            phrase_passages=held_by,
        )

    def _best(self, known: list[str], weights: dict[str, float]) -> float:
        scores: npt.NDArray[np.float32] = np.zeros(self.passages, dtype=np.float32)
        for term in known:
            scores[self._postings[term]] += weights[term]
        return float(scores.max())

    def _pair_count(self, pair: tuple[str, str]) -> int:
        return self._pairs.get((root(pair[0]), root(pair[1])), 0)

    def _particular(self, content: list[str], seen: list[tuple[str, str]]) -> tuple[str, int]:
        if seen:
            rarest = min(seen, key=self._pair_count)
            return " ".join(rarest), self._pair_count(rarest)
        known = [word for word in content if self.count(root(word))]
        if not known:
            return "", 0
        rarest_word = min(known, key=lambda word: self.count(root(word)))
        return rarest_word, self.count(root(rarest_word))


def _first(passages: Iterable[Extract]) -> Iterable[Extract]:
    for position, passage in enumerate(passages):
        if position == MAX_PASSAGES:
            return
        yield passage


def _terms(text: str, roots: dict[str, str]) -> list[str]:
    """Roots of the content words, in order; `roots` remembers those already worked out."""
    found = []
    for word in content_words(_split(text)):
        if word not in roots:
            roots[word] = root(word)
        found.append(roots[word])
    return found


def _split(text: str) -> list[str]:
    plain = fold(text).replace("'", "").replace("\u2019", "")
    return "".join(char if char.isalnum() else " " for char in plain).split()
