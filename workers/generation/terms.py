"""Words that carry content, made comparable, and how much each tells."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from workers.catalogue.words import fold, root, word_set

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|\w+")
_NO_SPACES = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_STOP = word_set(
    """a about above after again all also although am an and any are as at be became because been before being
    below between both but by can could did do does doing down during each either else ever every few
    for from further get give got had has have having he her here hers him his how however i if in into
    is it its itself just kind know let like list make many may me might more most much must my no nor
    not now of off often on once one only or other our out over own per please same say says shall she
    should show so some such tell than that the their them then there these they this those through to
    too type under until up upon us use used uses using very was we were what when where which while who
    whom whose why will with within without would yet you your"""
)


def terms(text: str) -> list[str]:
    """Content words in order, folded and cut to a root; numbers without separators of thousands."""
    folded = text.lower() if text.isascii() else fold(text)
    return [term for token in _TOKEN.findall(folded) for term in _of_token(token)]


# Every passage of every question goes through here; a language's words repeat.
@lru_cache(maxsize=65_536)
def _of_token(token: str) -> tuple[str, ...]:
    if token[0].isdigit():
        return (token.replace(",", ""),)
    if _NO_SPACES.search(token):
        return tuple(token[at : at + 2] for at in range(max(1, len(token) - 1)))
    if token in _STOP:
        return ()
    return (root(token.split("'")[0].split("\u2019")[0]),)


@dataclass(frozen=True)
class Weights:
    """How rare a term is in the evidence: ln(1 + texts / texts with the term), as BM25 weighs words."""

    frequency: Counter[str]
    texts: int

    @classmethod
    def over(cls, texts: Iterable[Iterable[str]]) -> "Weights":
        sets = [set(text) for text in texts]
        return cls(Counter(term for found in sets for term in found), len(sets))

    def __call__(self, term: str) -> float:
        return math.log(1 + (self.texts + 1) / (self.frequency[term] + 1))

    def total(self, found: Iterable[str]) -> float:
        return math.fsum(self(term) for term in found)
