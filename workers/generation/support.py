"""Which evidence carries a sentence, and which sentences of the evidence carry a question."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from workers.catalogue.words import within_one_edit
from workers.generation.reading import read_passage, wanted_by
from workers.generation.terms import Weights, terms

_OF_SOURCE, _OF_SENTENCE_BEFORE, _OF_KIND, _PER_PLACE = 0.5, 0.5, 0.15, 0.04
_LIKE_CODE, _NOT_WHOLE = 0.3, 0.1
# A sentence counts as supported when this share of its weighted words stands in one source.
_MIN_SUPPORT = 0.55
# A model words things its own way: of a sentence whose source it names, this share.
_MIN_CITED = 0.35
# Shorter words are one edit away from too many others.
_MIN_SPELLED = 5


@dataclass(frozen=True)
class Source:
    """Evidence with the number that stands for it in the text.

    `place`, the ids of its document and chunk, sorts it among all evidence, whatever was asked.
    """

    number: int
    title: str
    text: str
    place: tuple[str, str] = ("", "")


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
        self._sentences = [read_passage(source.text) for source in sources]
        self._titles = [frozenset(terms(source.title)) for source in sources]
        self._words = [
            title.union(*(sentence.words for sentence in found))
            for title, found in zip(self._titles, self._sentences, strict=True)
        ]
        self._weights = Weights(sentence.words for found in self._sentences for sentence in found)

    def best(self, sentence: str) -> int | None:
        """Number of the source that holds most of the sentence's words.

        None: no source holds enough of them, or all of its numbers.
        """
        words = set(terms(sentence))
        if not words or not self.sources:
            return None
        shares = [self.share(words, known) if _numbers(words) <= known else 0.0 for known in self._words]
        most = max(shares)
        return self.sources[shares.index(most)].number if most >= _MIN_SUPPORT else None

    def allows(self, sentence: str, number: int) -> bool:
        """Whether the source of that number holds what the sentence says, as far as it is written.

        Less is asked than where the platform itself names the source; what has no content words passes.
        """
        words = set(terms(sentence))
        known = next(
            words for source, words in zip(self.sources, self._words, strict=True) if source.number == number
        )
        return not words or (_numbers(words) <= known and self.share(words, known) >= _MIN_CITED)

    def share(self, words: set[str], known: Set[str]) -> float:
        """Weight of the words that are known, of the weight of all of them."""
        return self._weights.total(words & known) / self._weights.total(words)

    def missing(self, names: Set[str]) -> list[float]:
        """For each source, the share of the names that it does not hold; misspelled ones do not count."""
        everywhere = frozenset().union(*self._words)
        known = [name for name in names if name in everywhere or not _is_misspelled(name, everywhere)]
        return [sum(name not in words for name in known) / max(1, len(known)) for words in self._words]

    def of_best_source(self, words: set[str]) -> float:
        """The largest share of the words that one source holds."""
        return max(self.share(words, known) for known in self._words)

    def of_best_neighbours(self, words: set[str]) -> float:
        """The largest share that a title and two sentences in a row hold."""
        best = 0.0
        for title, found in zip(self._titles, self._sentences, strict=True):
            held = [words & (title | sentence.words) for sentence in found]
            for first, second in zip(held, [*held[1:], set()], strict=True):
                best = max(best, self._weights.total(first | second))
        return best / self._weights.total(words)

    def rank(self, question: str) -> list[Ranked]:
        """Sentences of the evidence, best first.

        A sentence inherits half of what its source covers, and a part of what the sentence before says of
        whatever its first word points back to.
        """
        asked, wanted = set(terms(question)), wanted_by(question)
        found: list[Ranked] = []
        for place, source in enumerate(self.sources):
            said = self._sentences[place]
            inherited = self.share(asked, self._words[place]) if asked else 0.0
            bonus = _OF_SOURCE * inherited - _PER_PLACE * place
            for position, sentence in enumerate(said):
                words = sentence.words & asked
                score = self.share(asked, words) if asked else 0.0
                if sentence.points_back and position:
                    before = said[position - 1].words & asked
                    score += _OF_SENTENCE_BEFORE * self.share(asked, before - words)
                score += _OF_KIND * sentence.holds(wanted, asked)
                score -= 0.2 if sentence.words <= asked and not sentence.text.endswith(":") else 0.0
                score -= 1.0 if sentence.is_markup else _LIKE_CODE if sentence.is_code else 0.0
                score -= 0.0 if sentence.is_whole else _NOT_WHOLE
                found.append(Ranked(source, position, sentence.text, score + bonus))
        return sorted(found, key=lambda ranked: -ranked.score)


def _numbers(words: Set[str]) -> set[str]:
    return {word for word in words if word[0].isdigit()}


def _is_misspelled(name: str, known: Set[str]) -> bool:
    near = (word for word in known if word[0] == name[0] and len(word) >= _MIN_SPELLED)
    return any(within_one_edit(name, word) for word in near)
