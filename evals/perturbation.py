"""Questions that look like a corpus's own and that nothing in it answers."""

import random
import re
from collections.abc import Iterator

from evals.corpora import Corpus, Labelled, text_of

# A name: capitalised words, or words with digits, not at the beginning of the question.
_NAME = re.compile(r"(?<=\s)(?:[A-Z][\w'\u2019-]*|\w*\d[\w.,]*\w|\d)(?:\s(?:[A-Z][\w-]*|\d+))*")
_YEAR = re.compile(r"1\d{3}|20\d{2}")
_POSSESSIVE = re.compile(r"['\u2019]s?$")
_TRIALS = 20


def perturbed(corpus: Corpus) -> Iterator[Labelled]:
    """Each question that has a name, with a name in its place that its own passages do not know.

    The names are those of the corpus's other questions, the years random; the same each time. A question
    without a name gives none.
    """
    texts = {passage.id: f"{passage.title} {text_of(passage)}".lower() for passage in corpus.passages}
    names = sorted({name for asked in corpus.questions for name in _names(asked.question)})
    for asked in corpus.questions:
        own = _names(asked.question)
        if not asked.answerable or not own:
            continue
        known = f"{asked.question.lower()} {' '.join(texts.get(gold, '') for gold in sorted(asked.gold))}"
        chance = random.Random(asked.id)  # noqa: S311 (the same each time is wanted)
        old = chance.choice(own)
        new = _strange(old, names, known, chance)
        if new is not None:
            question = asked.question.replace(old, new, 1)
            yield Labelled(f"{asked.id}-perturbed", question, frozenset(), (), (), answerable=False)


def _strange(old: str, names: list[str], known: str, chance: random.Random) -> str | None:
    """A name of the same kind, of which the text knows no word."""
    for _ in range(_TRIALS):
        new = str(chance.randint(1000, 2099)) if _YEAR.fullmatch(old) else chance.choice(names)
        if new[0].isdigit() == old[0].isdigit() and not any(word.lower() in known for word in new.split()):
            return new
    return None


def _names(question: str) -> list[str]:
    found = (_POSSESSIVE.sub("", match[0].rstrip(".,")) for match in _NAME.finditer(question))
    return [name for name in found if len(name) > 1 or name.isdigit()]
