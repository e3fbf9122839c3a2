"""What an answer is held against: the accepted spans, and the passages it cites.

Written apart from the generation worker's own checks, and stricter, so that it can find them wrong.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.catalogue.words import word_set

# Share of a cited sentence's content words that its passages must hold; all of its numbers besides.
_MIN_SHARED = 0.8
_MARKER = re.compile(r"\s?\[(\d{1,3})\]")
_CITED = re.compile(r"(?P<said>[^\[\]]+?)(?P<markers>(?:\s?\[\d{1,3}\])+)")
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_SHORTEST_WORD = 3
_COMMON = word_set(
    """about and are been but can did does for from had has have her his into its more not one our she such
    than that the their them then there these they this was were what when which who will with would you"""
)


@dataclass(frozen=True)
class CitedSentence:
    text: str
    numbers: tuple[int, ...]


def plain(text: str) -> str:
    """Without what does not count when texts are compared: case, and the kind of white space."""
    return " ".join(text.lower().split())


def without_markers(answer: str) -> str:
    return _MARKER.sub("", answer)


def contains(answer: str, accepted: Sequence[str]) -> bool:
    """Whether one of the accepted texts stands in the answer, whatever its case and white space."""
    said = plain(without_markers(answer))
    return any(plain(text) in said for text in accepted if text.strip())


def recall(answer: str, accepted: Sequence[str]) -> float:
    """The largest share of an accepted text's content words that the answer holds."""
    said = _words(without_markers(answer))
    return max((_share(_words(text), said) for text in accepted), default=0.0)


def cited_sentences(answer: str) -> list[CitedSentence]:
    """What stands in front of each run of markers, back to the one before."""
    return [
        CitedSentence(
            found["said"].lstrip(" .!?\n"), tuple(int(n) for n in _MARKER.findall(found["markers"]))
        )
        for found in _CITED.finditer(answer)
    ]


def supported(sentence: CitedSentence, passages: Mapping[int, str]) -> bool:
    """Whether the passages under its numbers hold the sentence's words and numbers."""
    if not all(number in passages for number in sentence.numbers):
        return False
    held = _words(" ".join(passages[number] for number in sentence.numbers))
    said = _words(sentence.text)
    return _share(said, held) >= _MIN_SHARED and all(word in held for word in said if word[0].isdigit())


def _share(words: frozenset[str], held: frozenset[str]) -> float:
    return len(words & held) / len(words) if words else 1.0


def _words(text: str) -> frozenset[str]:
    found = (word.lower() for word in _WORD.findall(text))
    return frozenset(w for w in found if w[0].isdigit() or (len(w) >= _SHORTEST_WORD and w not in _COMMON))
