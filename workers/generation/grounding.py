"""Whether the evidence carries an answer at all; if not, no engine time is spent."""

import math
import re
from collections.abc import Sequence

from workers.generation.support import Source, Support
from workers.generation.terms import terms

_NAME = re.compile(r"(?<!^)\b(?:[A-Z]\w*|\d[\w.,]*)")
# A passage without any of the question's names: as if it were 25 times less likely, and less for a part.
_NAMES_COST = 3.2
# Below this share of the question's words no sentence can be found that answers it.
_MIN_HELD = 0.15
# An older retrieval worker states reciprocal ranks, at most 2 / 61, which say nothing of how well one fits.
_RANKS_UP_TO = 0.033
_HELD_IS_EVEN = 0.56
_MOST, _LEAST = 0.9999, 0.0001


def carried(question: str, support: Support, scores: Sequence[float], *, beside: str = "") -> float:
    """How likely one of the passages holds an answer to the question, from 0 to 1.

    `scores` are those of retrieval, one for each source: how near the passage is in meaning and in words. A
    name or a number of the question that the passage does not hold lowers it: passages on the right subject
    and the wrong thing look alike otherwise. Not so one in `beside`, the statement that answers another part.
    """
    asked = set(terms(question))
    if not support.sources or not asked:
        return 1.0 if support.sources else 0.0
    held = (support.of_best_source(asked) + support.of_best_neighbours(asked)) / 2
    names = {term for name in _NAME.findall(question) for term in terms(name)} - set(terms(beside))
    missing = support.missing(names)
    if max(scores) <= _RANKS_UP_TO:
        return min(1.0, held * 0.5 / _HELD_IS_EVEN) * (1 - min(missing) / 2)
    odds = (_log_odds(score) - _NAMES_COST * share for score, share in zip(scores, missing, strict=True))
    return _logistic(max(odds)) * min(1.0, held / _MIN_HELD)


def _log_odds(share: float) -> float:
    bounded = min(max(share, _LEAST), _MOST)
    return math.log(bounded / (1 - bounded))


def _logistic(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def not_found(sources: Sequence[Source]) -> str:
    """An honest reply that says what was searched."""
    titles = list(dict.fromkeys(source.title for source in sources if source.title))
    if not titles:
        return "I could not find this in the documents: the search gave no passage for it."
    shown = "; ".join(titles[:3])
    more = f" and {len(titles) - 3} more" if len(titles) > 3 else ""
    return f"I could not find this in the documents. Searched, without an answer in it: {shown}{more}."
