"""A passage as sentences, each with what ranking asks of it, read once for all questions that find it."""

import re
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from workers.catalogue.words import word_set
from workers.generation import sentences
from workers.generation.terms import terms

Wanted = Literal["name", "number", "time", "any"]

_MARKUP = re.compile(r"#|```|~~~|\|[\s:|-]*\||<")
_CODE = re.compile(r"[{}<>=_|\\]|\"\s*:|\(\)|;\s*$")
_CODE_SHARE = 0.04
_WHO = re.compile(r"\b(who|whom|whose|where|which (person|city|country|company|state)|what city)\b", re.I)
_WHEN = re.compile(r"\b(when|(what|which) (year|date|day|month|century|decade))\b", re.I)
_HOW_MUCH = re.compile(r"\bhow (many|much|long|old|far|large|big|often|high|tall|deep|wide|fast)\b", re.I)
_PERCENT = re.compile(r"\bwhat (percent|percentage|share|number|amount|fraction|proportion)\b", re.I)
_NAME = re.compile(r"(?<=[^.!?]\s)[\"'(\u201c]?([A-Z]\w+)")
_DIGIT = re.compile(r"\d[\d.,]*")
_TIME = re.compile(
    r"\b(1\d{3}|20\d{2}|january|february|march|april|may|june|july|august|september|october|november|december"
    r"|\d+(st|nd|rd|th) century|decade|ago|until|since|before|after|during)\b",
    re.I,
)
_NUMBER_WORDS = word_set(
    """two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty hundred
    thousand million billion half third thirds quarter quarters dozen dozens twice once zero none both"""
)
_END_MARKS = (".", "!", "?", ":", ";", "\u2026", "\u3002", "\uff01", "\uff1f")
_POINTS_BACK = re.compile(
    r"(he|she|it|they|his|her|its|their|this|these|those|that|such|here|there|then|also|however|moreover"
    r"|furthermore|but|and|or|the (latter|former|same|two|other)|both|another|others?|some|in addition)\b",
    re.I,
)


@dataclass(frozen=True)
class Sentence:
    """`names` and `numbers` are the terms that could be the answer to who, and to how many or when."""

    text: str
    words: frozenset[str]
    names: frozenset[str]
    numbers: frozenset[str]
    has_time: bool
    points_back: bool
    is_markup: bool
    is_code: bool
    is_whole: bool

    def holds(self, wanted: Wanted, asked: Set[str]) -> bool:
        """Whether it has something of the kind that is wanted, which the question does not say itself."""
        if wanted == "name":
            return not self.names <= asked
        if wanted == "number":
            return not self.numbers <= asked
        return wanted == "time" and self.has_time


def wanted_by(question: str) -> Wanted:
    if _WHEN.search(question):
        return "time"
    if _HOW_MUCH.search(question) or _PERCENT.search(question):
        return "number"
    return "name" if _WHO.search(question) else "any"


# Questions of one day find the same passages again and again: reading one is a fifth of an answer's work.
@lru_cache(maxsize=4_096)
def read_passage(text: str) -> tuple[Sentence, ...]:
    return tuple(_read(sentence) for sentence in sentences.split(text))


def _read(text: str) -> Sentence:
    words = text.lower().split()
    numbers = {term for digits in _DIGIT.findall(text) for term in terms(digits)}
    return Sentence(
        text=text,
        words=frozenset(terms(text)),
        names=frozenset(term for name in _NAME.findall(text) for term in terms(name)),
        numbers=frozenset(numbers | (_NUMBER_WORDS & set(words))),
        has_time=bool(_TIME.search(text)),
        points_back=bool(_POINTS_BACK.match(text)),
        is_markup=bool(_MARKUP.match(text)),
        is_code=len(_CODE.findall(text)) > _CODE_SHARE * len(text),
        is_whole=text.rstrip("\"')]\u201d\u2019").endswith(_END_MARKS),
    )
