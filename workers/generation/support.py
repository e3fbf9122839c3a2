"""Which evidence carries a sentence, and which sentences of the evidence carry a question."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from workers.generation import sentences
from workers.generation.terms import Weights, terms

# A sentence counts as supported when this share of its weighted words stands in one source.
_MIN_SUPPORT = 0.55
_MARKUP = re.compile(r"#|```|~~~|\|[\s:|-]*\||<")
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
    """The words of the evidence, read once and looked up many times for one answer."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)
        self._sentences = [_sentences(source.text) for source in sources]
        self._titles = [frozenset(terms(source.title)) for source in sources]
        self._words = [
            title.union(*(words for _, words in found))
            for title, found in zip(self._titles, self._sentences, strict=True)
        ]
        self._weights = Weights.over(words for found in self._sentences for _, words in found)

    def best(self, sentence: str) -> int | None:
        """Number of the source that holds most of the sentence's words; None: no source holds enough."""
        words = set(terms(sentence))
        if not words or not self.sources:
            return None
        shares = [self.share(words, known) for known in self._words]
        most = max(shares)
        return self.sources[shares.index(most)].number if most >= _MIN_SUPPORT else None

    def share(self, words: set[str], known: Set[str]) -> float:
        """Weight of the words that are known, of the weight of all of them."""
        return self._weights.total(words & known) / self._weights.total(words)

    def holds(self, word: str) -> bool:
        return any(word in known for known in self._words)

    def of_best_source(self, words: set[str]) -> float:
        """The largest share of the words that one source holds."""
        return max(self.share(words, known) for known in self._words)

    def of_best_neighbours(self, words: set[str]) -> float:
        """The largest share that a title and two sentences in a row hold."""
        best = 0.0
        for title, found in zip(self._titles, self._sentences, strict=True):
            held = [words & (title | said) for _, said in found]
            for first, second in zip(held, [*held[1:], set()], strict=True):
                best = max(best, self._weights.total(first | second))
        return best / self._weights.total(words)

    def rank(self, question: str) -> list[Ranked]:
        """Sentences of the evidence, best first. A sentence inherits half of what its source covers."""
        asked = set(terms(question))
        wants_number = bool(_ASKS_NUMBER.search(question))
        found: list[Ranked] = []
        for place, source in enumerate(self.sources):
            inherited = self.share(asked, self._words[place]) if asked else 0.0
            for position, (text, words) in enumerate(self._sentences[place]):
                score = self.share(asked, words) if asked else 0.0
                score += 0.5 * inherited - 0.02 * place
                score += 0.1 if wants_number and _DIGIT.search(text) else 0.0
                score -= 0.2 if words <= asked and not text.endswith(":") else 0.0
                score -= 1.0 if _MARKUP.match(text) else 0.0
                found.append(Ranked(source, position, text, score))
        return sorted(found, key=lambda ranked: -ranked.score)


# Questions of one day find the same passages again and again: reading one is a fifth of an answer's work.
@lru_cache(maxsize=4_096)
def _sentences(passage: str) -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple((text, frozenset(terms(text))) for text in sentences.split(passage))
