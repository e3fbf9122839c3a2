"""Answers in the words of the evidence, for models too small to be trusted with their own."""

import re
from collections.abc import Sequence
from itertools import islice, takewhile

from workers.generation import sentences
from workers.generation.reading import read_passage
from workers.generation.support import Ranked, Support
from workers.generation.terms import terms

# A second sentence is quoted when it fits nearly as well as the first. On questions about encyclopaedia texts
# (evals) one sentence holds the answer in 82 of 100 cases, with this rule 90, with two sentences always 92.
_NEARLY = 0.7
_MOST = 3
_SAME = 0.8
_MIN_NEW_WORDS = 2
_MIN_OF_QUOTE = 0.5
_LISTED = 4
_ENDS = (".", "!", "?", ":", "\u2026", "\u3002", "\uff01", "\uff1f")
_MARKER = re.compile(r"\s?\[\d{1,3}\]")


def quote(ranked: Sequence[Ranked]) -> list[Ranked]:
    """The sentences of the evidence that fit the question best, in reading order, three at most.

    The best one, another that fits nearly as well, and in front of what begins with `It` or `They` the
    sentence that says who that is.
    """
    if not ranked:
        return []
    best = ranked[0]
    close = takewhile(lambda other: other.score >= _NEARLY * best.score, ranked[1:])
    chosen = [best, *islice((other for other in close if not _repeats(other, best)), 1)]
    for sentence in list(chosen):
        before = _before(sentence)
        if before is not None and len(chosen) < _MOST and _place(before) not in map(_place, chosen):
            chosen.append(before)
    return sorted(chosen, key=_place)


def _place(ranked: Ranked) -> tuple[int, int]:
    return ranked.source.number, ranked.position


def _repeats(other: Ranked, best: Ranked) -> bool:
    """Whether it says in nearly the same words what the best one says; overlapping chunks do."""
    words, known = set(terms(other.text)), set(terms(best.text))
    return len(words & known) >= _SAME * min(len(words), len(known))


def _before(ranked: Ranked) -> Ranked | None:
    """The sentence that one with a pronoun for its subject goes on from."""
    said = read_passage(ranked.source.text)
    if not ranked.position or not said[ranked.position].points_back:
        return None
    before = said[ranked.position - 1]
    return None if before.is_markup else Ranked(ranked.source, ranked.position - 1, before.text, ranked.score)


def rest_of_quote(chosen: Sequence[Ranked], written: str) -> list[str]:
    """The quoted sentences behind `written`, which an earlier attempt published with citations added.

    When that is no part of the quote it is a model's sentence, whose end mark may be missing.
    """
    plain = _MARKER.sub("", written)
    whole = [_ended(_MARKER.sub("", _with_list(ranked))) for ranked in chosen]
    quoted = " ".join(whole)
    if not quoted.startswith(plain):
        return [] if plain.endswith(_ENDS) else ["."]
    rest: list[str] = []
    for place, sentence in enumerate(whole):
        text = f" {sentence}" if place else sentence
        rest.append(text[len(plain) :])
        plain = plain[len(text) :]
    return [text for text in rest if text]


def _with_list(ranked: Ranked) -> str:
    """A sentence that announces something, with the lines that follow it."""
    if not ranked.text.endswith(":"):
        return ranked.text
    following = sentences.split(ranked.source.text)[ranked.position + 1 :]
    return "\n".join([ranked.text, *following[:_LISTED]])


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(_ENDS) else f"{sentence}."


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
