"""Which evidence carries a sentence, and which sentences of the evidence carry a question."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workers.generation import sentences
from workers.generation.terms import Weights, terms

# A sentence counts as supported when this share of its weighted words stands in one source.
_MIN_SUPPORT = 0.55
_DIGIT = re.compile(r"\d")
_ASKS_NUMBER = re.compile(
    r"\b(when|what year|which year|how (many|much|long|old|far|large|big|often))\b", re.I
)


@dataclass(frozen=True)
class Source:
    """Evidence with the number that stands for it in the text."""

    number: int
    title: str
    text: str


@dataclass(frozen=True)
class Ranked:
    """A sentence of a source and how well it fits the question, from 0 to about 1."""

    source: Source
    position: int
    text: str
    score: float


class Support:
    """The words of the evidence, looked up many times for one answer."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._terms = {s.number: frozenset(terms(f"{s.title} {s.text}")) for s in sources}
        self._weights = Weights.over(
            terms(sentence) for source in sources for sentence in sentences.split(source.text)
        )

    def best(self, sentence: str, *, required: float = _MIN_SUPPORT) -> int | None:
        """Number of the source that holds most of the sentence's words; None: no source holds enough."""
        words = set(terms(sentence))
        if not words:
            return None
        shares = {number: self.share(words, known) for number, known in self._terms.items()}
        number = max(shares, key=lambda n: shares[n], default=None)
        return number if number is not None and shares[number] >= required else None

    def share(self, words: set[str], known: Iterable[str]) -> float:
        """Weight of the words that are known, of the weight of all of them."""
        return self._weights.total(words.intersection(known)) / self._weights.total(words)

    def coverage(self, question: str) -> float:
        """Share of the question's weighted words that stand anywhere in the evidence, from 0 to 1."""
        words = set(terms(question))
        known = frozenset[str]().union(*self._terms.values())
        return self.share(words, known) if words else 0.0

    def rank(self, question: str) -> list[Ranked]:
        """Sentences of the evidence, best first. A sentence inherits half of what its source covers."""
        asked = set(terms(question))
        wants_number = bool(_ASKS_NUMBER.search(question))
        found: list[Ranked] = []
        for place, source in enumerate(self._sources):
            inherited = self.share(asked, self._terms[source.number]) if asked else 0.0
            for position, text in enumerate(sentences.split(source.text)):
                words = set(terms(text))
                score = self.share(asked, frozenset(words)) if asked else 0.0
                score += 0.5 * inherited - 0.02 * place
                score += 0.1 if wants_number and _DIGIT.search(text) else 0.0
                score -= 0.2 if words <= asked else 0.0
                found.append(Ranked(source, position, text, score))
        return sorted(found, key=lambda ranked: -ranked.score)
