"""Answers in the words of the evidence, for models too small to be trusted with their own."""

from collections.abc import Sequence

from workers.generation.support import Ranked, Support
from workers.generation.terms import terms

# A second sentence is quoted when it fits nearly as well as the first. On questions about encyclopaedia texts
# (evals) one sentence holds the answer in 82 of 100 cases, with this rule 90, with two sentences always 92.
_NEARLY = 0.7
_MIN_NEW_WORDS = 2
_MIN_OF_QUOTE = 0.5


def quote(ranked: Sequence[Ranked]) -> list[Ranked]:
    """The one or two sentences of the evidence that fit the question best, in reading order."""
    chosen = list(ranked[:1])
    if len(ranked) > 1 and ranked[1].score >= _NEARLY * ranked[0].score:
        chosen.append(ranked[1])
    return sorted(chosen, key=lambda r: (r.source.number, r.position))


def departs(text: str, question: str, best: Ranked) -> bool:
    """Whether a model's text uses a word that neither the best sentence nor the question has."""
    return not set(terms(text)) <= set(terms(best.text)) | set(terms(question))


def faithful(sentence: str, question: str, best: Ranked, support: Support) -> bool:
    """Whether a model's sentence says in the best sentence's words what that one adds to the question.

    Strict on purpose: a small model often picks the wrong number or name out of the right sentence.
    """
    asked = set(terms(question))
    said = set(terms(sentence))
    new = set(terms(best.text)) - asked
    if departs(sentence, question, best) or len(said - asked) < _MIN_NEW_WORDS or not new:
        return False
    return support.share(new, said) >= _MIN_OF_QUOTE
