"""Whether the evidence carries an answer at all; if not, no engine time is spent."""

import re
from collections.abc import Sequence

from workers.generation.support import Source, Support
from workers.generation.terms import terms

_NAME = re.compile(r"(?<!^)\b(?:[A-Z]\w*|\d[\w.,]*)")
_MISSING_NAME_COST = 0.1


def carried(question: str, support: Support) -> float:
    """How much of the question the best source and its best two neighbouring sentences hold, 0 to about 1.

    Words weigh by their rarity in the evidence. A name or a number of the question that no source holds costs
    extra: passages on the right subject and the wrong thing look alike otherwise.
    """
    if not support.sources:
        return 0.0
    asked = set(terms(question))
    if not asked:
        return 1.0
    names = {word for name in _NAME.findall(question) for word in terms(name)}
    missing = sum(not support.holds(word) for word in names)
    held = (support.of_best_source(asked) + support.of_best_neighbours(asked)) / 2
    return held - _MISSING_NAME_COST * missing


def not_found(sources: Sequence[Source]) -> str:
    """An honest reply that says what was searched."""
    titles = list(dict.fromkeys(source.title for source in sources if source.title))
    if not titles:
        return "I could not find this in the documents: the search gave no passage for it."
    shown = "; ".join(titles[:3])
    more = f" and {len(titles) - 3} more" if len(titles) > 3 else ""
    return f"I could not find this in the documents. Searched, without an answer in it: {shown}{more}."
