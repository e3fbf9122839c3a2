"""Whether the evidence carries an answer at all; if not, no engine time is spent."""

import re
from collections.abc import Sequence

from workers.generation import sentences
from workers.generation.support import Source, Support
from workers.generation.terms import terms

_NAME = re.compile(r"(?<!^)\b(?:[A-Z]\w*|\d[\w.,]*)")
_MISSING_NAME_COST = 0.1


def carried(question: str, sources: Sequence[Source]) -> float:
    """How much of the question the best source and its best two neighbouring sentences hold, 0 to about 1.

    Words weigh by their rarity in the evidence. A name or a number of the question that no source holds costs
    extra: passages on the right subject and the wrong thing look alike otherwise.
    """
    asked = set(terms(question))
    if not sources or not asked:
        return 0.0 if not sources else 1.0
    support = Support(sources)
    whole = max(support.share(asked, terms(f"{source.title} {source.text}")) for source in sources)
    window = max(support.share(asked, words) for source in sources for words in _windows(source))
    known = {word for source in sources for word in terms(f"{source.title} {source.text}")}
    missing = {word for name in _NAME.findall(question) for word in terms(name)} - known
    return (whole + window) / 2 - _MISSING_NAME_COST * len(missing)


def not_found(sources: Sequence[Source]) -> str:
    """An honest reply that says what was searched."""
    titles = list(dict.fromkeys(source.title for source in sources if source.title))
    if not titles:
        return "I could not find this in the documents: the search gave no passage for it."
    shown = "; ".join(titles[:3])
    more = f" and {len(titles) - 3} more" if len(titles) > 3 else ""
    return f"I could not find this in the documents. Searched, without an answer in it: {shown}{more}."


def _windows(source: Source) -> list[list[str]]:
    title = terms(source.title)
    parts = [terms(sentence) for sentence in sentences.split(source.text)]
    return [title + first + second for first, second in zip(parts, [*parts[1:], []], strict=True)]
