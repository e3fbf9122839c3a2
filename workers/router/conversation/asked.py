"""What the question before asked: about which set, which thing, doing what."""

import re
from dataclasses import dataclass
from functools import cached_property

from workers.router.conversation.sentence import (
    ATTRIBUTES,
    AUXILIARIES,
    COPULAS,
    DETERMINERS,
    IMPERATIVES,
    PARTICLES,
    PERSONS,
    PREPOSITIONS,
    QUESTION_WORDS,
    VERB_FORMS,
    Word,
    ends_phrase,
    is_describing,
    lowered,
    stripped,
    words_of,
)

_COUNT = re.compile(
    r"(?:so |and )?how (?:many|much)\b|(?:what is |whats )?the (?:total )?number of\b", re.IGNORECASE
)
_CHOICE = re.compile(
    r"(?:which|what)\b(?: (?:are|is|were|was) (?:all )?the\b)?(?: of(?: the\b)?)?", re.IGNORECASE
)
_ORDER = re.compile(
    r"(?:(?:please|can you|could you|would you) )*(?:list|show|give|tell|find|name|display|get|count"
    r"|return)\b"
    r"(?: (?:me|us))?(?: (?:about|all|of))*(?: the number of)?",
    re.IGNORECASE,
)


_NO_THINGS = (
    QUESTION_WORDS
    | PERSONS
    | IMPERATIVES
    | VERB_FORMS
    | frozenset(["me", "us", "many", "much", "long", "often"])
)


@dataclass(frozen=True)
class Asked:
    """A question that stands for itself, and the answer that was given to it."""

    text: str
    answer: str = ""

    @cached_property
    def body(self) -> str:
        return stripped(self.text)

    @cached_property
    def words(self) -> list[Word]:
        return words_of(self.body)

    @property
    def first(self) -> str:
        return self.words[0].plain if self.words else ""

    @cached_property
    def counts(self) -> bool:
        return _COUNT.match(self.body) is not None

    @cached_property
    def set_of(self) -> "SetOf | None":
        """The things that are counted, chosen from or listed: `How many orders were late?`"""
        found = _COUNT.match(self.body) or (
            _CHOICE.match(self.body) if self.first in ("which", "what") else _ORDER.match(self.body)
        )
        return _set_behind(self, found.end()) if found and found.end() else None

    @cached_property
    def subject(self) -> str:
        """The thing that it is about, as a noun phrase; empty where no rule finds it."""
        return _subject(self)

    @cached_property
    def owner(self) -> str:
        """`Lagos` in `What is the population of Lagos?`; else empty."""
        head, of, rest = self.subject.partition(" of ")
        return rest if of and len(words_of(head)) <= 4 else ""

    @property
    def thing(self) -> str:
        """The subject, or whose attribute it is."""
        head = words_of(self.subject.partition(" of ")[0])
        return self.owner if self.owner and head and head[-1].plain in ATTRIBUTES else self.subject

    @cached_property
    def chunks(self) -> list[str]:
        """Its noun phrases, in order."""
        found: list[list[Word]] = [[]]
        for position, word in enumerate(self.words):
            if position == 1 and is_describing(word.plain) and self.first in QUESTION_WORDS:
                continue
            run = found[-1]
            opens = word.plain in DETERMINERS and run
            if opens or ends_phrase(word, run[-1] if run else None) or word.plain in _NO_THINGS:
                found.append([])
            if not ends_phrase(word, None) and word.plain not in _NO_THINGS:
                found[-1].append(word)
        runs = [run for run in found if any(word.plain not in DETERMINERS for word in run)]
        return [self.body[run[0].start : run[-1].end] for run in runs]

    @cached_property
    def action(self) -> str:
        """What somebody wants to do: `return a parcel` in `How can I return a parcel?`; else empty."""
        for position, word in enumerate(self.words[:4]):
            doer = self.words[position + 1 : position + 2]
            if word.plain in AUXILIARIES and doer and doer[0].plain in ("i", "we", "you", "one", "someone"):
                return self.body[doer[0].end :].strip()
        found = re.match(r"(?:how|where|when|what) to (.+)", self.body, re.IGNORECASE)
        return found[1] if found else ""


@dataclass(frozen=True)
class SetOf:
    """`noun` with its own describing words, and what narrows it, `rest`: `orders`, `were late in May`."""

    noun: str
    rest: str

    @property
    def narrowed(self) -> str:
        """`the orders that were late in May`."""
        rest = self.rest
        first, _, behind = rest.partition(" ")
        if first.lower() in COPULAS:
            rest = behind if _describes(behind) else f"that {rest}"
            if behind in ("there", ""):
                rest = ""
            elif behind.startswith("there "):
                rest = behind.removeprefix("there ")
        elif first.lower() in ("do", "does", "did", "can", "have", "has", "had", "will"):
            rest = f"that {_without_support(rest)}"
        elif (
            rest
            and first.lower() not in PREPOSITIONS
            and first.lower() not in ("that", "who", "which", "whose")
        ):
            rest = rest if is_describing(first) else f"that {rest}"
        noun = self.noun if self.noun.split(" ", 1)[0].lower() in DETERMINERS else f"the {self.noun}"
        return f"{noun} {rest}".strip()


def _describes(text: str) -> bool:
    first = text.split(" ", 1)[0].lower()
    return first in PREPOSITIONS or is_describing(first)


def _without_support(rest: str) -> str:
    """`do we have in stock` -> `we have in stock`."""
    first, _, behind = rest.partition(" ")
    return behind if first.lower() in ("do", "does") and behind.split(" ", 1)[0].lower() in PERSONS else rest


def _set_behind(asked: Asked, offset: int) -> SetOf | None:
    noun: list[Word] = []
    for word in (word for word in asked.words if word.start >= offset):
        if ends_phrase(word, noun[-1] if noun else None) or (noun and word.plain in DETERMINERS):
            break
        noun.append(word)
    if (noun and noun[0].plain in ("percentage", "share", "percent")) or len(noun) > 5:
        return None
    if not noun or all(word.plain in DETERMINERS or word.plain in PERSONS for word in noun):
        return None
    return SetOf(asked.body[noun[0].start : noun[-1].end], asked.body[noun[-1].end :].strip(" ,"))


def _subject(asked: Asked) -> str:
    body, words = asked.body, asked.words
    if (
        asked.first in ("what", "who", "where", "when", "which")
        and len(words) > 2
        and words[1].plain in COPULAS
    ):
        return _thing(body[words[1].end :])
    short = re.match(r"(?:what|who|where)['\u2019]?s (.+)", body, re.IGNORECASE)
    if short:
        return _thing(short[1])
    if asked.set_of is not None:
        return asked.set_of.narrowed
    if asked.first == "who" and len(words) > 1:
        return f"the person who {body[words[0].end :].strip()}"
    for position, word in enumerate(words[:3]):
        if word.plain in AUXILIARIES:
            return _subject_behind(asked, position)
    about = re.match(
        r"(?:please )?(?:tell me|explain|describe|summari[sz]e)(?: about)? (.+)", body, re.IGNORECASE
    )
    return _thing(about[1]) if about else ""


def _thing(text: str) -> str:
    """A noun phrase with what follows it, less a participle at its end."""
    found = text.strip()
    found = re.sub(r"\s+(?:located|based|called|about|for)$", "", found)
    words = words_of(found)
    if len(words) > 1 and (words[-1].plain in VERB_FORMS or words[-1].plain.endswith("ed")):
        found = found[: words[-1].start].rstrip()
    if not words or words[0].plain in PERSONS or (words[0].plain in QUESTION_WORDS):
        return ""
    if (
        len(words) > 1
        and words[0].plain not in DETERMINERS
        and not words[0].capital
        and ends_phrase(words[0], words[1])
    ):
        return ""
    return found


def _subject_behind(asked: Asked, position: int) -> str:
    """The noun phrase between an auxiliary and its verb: `the rate limiter` in `How does ... work?`"""
    noun: list[Word] = []
    rest = asked.words[position + 1 :]
    for word in rest:
        named = bool(noun) and noun[-1].capital and not word.capital
        if ends_phrase(word, noun[-1] if noun else None) or named:
            break
        noun.append(word)
    if noun and noun[0].plain in PERSONS:
        return _object(asked)
    if not noun or len(noun) > 4 or (len(noun) == len(rest) and len(noun) > 3):
        return ""
    return asked.body[noun[0].start : noun[-1].end]


def _object(asked: Asked) -> str:
    """`my password` in `How can I reset my password?`"""
    words = words_of(asked.action)
    noun: list[Word] = []
    behind = 2 if len(words) > 2 and words[1].plain in PARTICLES else 1
    for word in words[behind:]:
        if ends_phrase(word, noun[-1] if noun else None):
            break
        noun.append(word)
    if not noun or noun[0].plain in PERSONS:
        return ""
    found = asked.action[noun[0].start : noun[-1].end]
    return re.sub(r"^an? ", "the ", found, flags=re.IGNORECASE)


def imperative(asked: Asked) -> bool:
    return asked.first in IMPERATIVES


def decapitalised(asked: Asked) -> str:
    return lowered(asked.body)
