"""Follow-ups that say nothing of their subject: `why?`, `list them`, `tell me more`, `the second one`."""

import re

from workers.router.conversation import spans
from workers.router.conversation.asked import Asked, imperative
from workers.router.conversation.references import items
from workers.router.conversation.sentence import (
    AUXILIARIES,
    COPULAS,
    VERB_FORMS,
    is_describing,
    lowered,
    words_of,
)

_WHY = re.compile(
    r"(?:but |and )?(?:why(?: not)?|how come|why (?:is|was) (?:that|this|it|so)|why so|what(?: i"
    r"|')?s the reason|for what reason)\Z",
    re.IGNORECASE,
)
_WH = re.compile(
    r"(?:and |but )?(?:since |until |by |from )?(?P<word>when|where|how|who|whom)(?: exactly| so)?\Z",
    re.IGNORECASE,
)
_WHICH = re.compile(
    r"(?:and )?(?:which|which ones?|which (?:of )?(?:them|those|these)|what are (?:they|those)"
    r"|who are (?:they|those|these)|who"
    r"|(?:can you |could you |please )*(?:list|show|name|give|tell|display|print|get|return)(?: me"
    r"| us)?(?: all)?(?: of)?(?: the)?"
    r" (?:them|those|these|list|names|it)(?: all)?(?: please)?)\Z",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"(?:and )?(?:how many(?: are there| (?:of )?(?:them|those)(?: are there)?| in total| is (?:that"
    r"|it))?|count (?:them|those|these)"
    r"|what(?:'s| is) the (?:count|total number)|how many are (?:they|those))\Z",
    re.IGNORECASE,
)
_MORE = re.compile(
    r"(?:please )?(?:(?:can|could) you )?(?:tell me more|more(?: details?| information| info)?"
    r"|(?:please )?elaborate|go on|continue|explain(?: that| this| it)?"
    r"(?: more)?(?: in (?:more )?detail)?|(?:give me |any )?(?:more )?(?:details|examples?)|for example"
    r"|what else(?: is there)?|in more detail"
    r"|say more|tell me more about (?:it|this|that|them))(?: please)?\Z",
    re.IGNORECASE,
)
_ORDINALS = {
    "first": 0, "1st": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3, "4th": 3,
    "fifth": 4, "5th": 4,
    "sixth": 5, "seventh": 6, "eighth": 7, "ninth": 8, "tenth": 9, "last": -1, "latter": -1, "former": 0,
}  # fmt: skip
_ORDINAL = re.compile(
    r"(?:the (?P<ordinal>"
    + "|".join(_ORDINALS)
    + r")(?: (?:one|option|item|point|entry|result|of (?:them|those|these)))?"
    r"|(?:number|no\.?|#|item|option|point) ?(?P<number>\d{1,2}))(?![\w-])(?! (?:\w+ly|\w*(?:quarter"
    r"|half|year|month|week|day|time|name)s?)\b)",
    re.IGNORECASE,
)
_ALONE = re.compile(
    r"(?:and|what about|how about|what is|tell me(?: more)? about|more about|explain|show me|describe)?\s*",
    re.IGNORECASE,
)
_THAT_WAY = {"when": "then", "where": "there", "how": "that way"}


def expand(question: str, before: Asked) -> str:
    """The stand-alone question; empty where it is none of these, or the rules do not know."""
    if _WHY.match(question):
        return _why(before)
    found = _COUNT.match(question)
    if found:
        return _counted(before)
    if _WHICH.match(question) and before.set_of is not None and (not _is_who(question) or before.counts):
        return _listed(before)
    chosen = _choice(question, before) or _count_of(question, before)
    if chosen:
        return chosen
    bare = _WH.match(question)
    if bare:
        return _asked_anew(bare["word"], before)
    if _MORE.match(question):
        return f"Tell me more about {before.subject}" if before.subject else f"Tell me more: {before.body}"
    return ""


def _choice(question: str, before: Asked) -> str:
    """`which is the oldest?` of several."""
    found = re.match(r"(?:and )?which (?=(?:is|are|was|were|has|have|had) )", question, re.IGNORECASE)
    things = before.set_of
    if (
        found is None
        or things is None
        or not (before.counts or imperative(before) or things.noun.endswith("s"))
    ):
        return ""
    return f"Which of {things.narrowed} {question[found.end() :]}"


def _count_of(question: str, before: Asked) -> str:
    """`how many left?` after `How many employees joined this year?`"""
    found = re.fullmatch(r"(?:and )?how many (?P<done>(?P<verb>[\w-]+)(?: .*)?)", question, re.IGNORECASE)
    things = before.set_of
    if found is None or things is None or not before.counts:
        return ""
    if found["verb"] not in VERB_FORMS and not is_describing(found["verb"]):
        return ""
    made = f"How many {things.noun} {found['done']}"
    own = spans.times(before.body)
    return (
        made
        if not own or spans.times(found["done"])
        else f"{made} {before.body[own[-1].start : own[-1].end]}"
    )


def is_bare(question: str) -> bool:
    """Whether it says nothing of its subject."""
    return any(form.match(question) for form in (_WHY, _WH, _COUNT, _MORE))


def _is_who(question: str) -> bool:
    return question.lower().removeprefix("and ").strip() == "who"


def pick(question: str, before: Asked) -> str:
    """`the second one` by its name, from what the answer lists; empty where it lists no such item."""
    found = _ORDINAL.search(question)
    if found is None:
        return ""
    listed = items(before.answer)
    place = int(found["number"]) - 1 if found["number"] else _ORDINALS[found["ordinal"].lower()]
    if not -len(listed) <= place < len(listed) or not listed[place]:
        return ""
    item = listed[place]
    lead, rest = question[: found.start()], question[found.end() :]
    if (
        re.fullmatch(r"(?:(?:and|what about|how about|what is)\s+)?", lead, re.IGNORECASE)
        and not rest.strip()
    ):
        return f"Tell me about {item}"
    return f"{lead}{item}{rest}"


def picks(question: str) -> bool:
    """Whether it asks for one of several that were said before."""
    found = _ORDINAL.search(question)
    if found is None:
        return False
    alone = _ALONE.fullmatch(question[: found.start()]) and not question[found.end() :].strip(" ?.!")
    return bool(alone) or bool(
        re.search(r" (?:one|option|item|point|entry|result|of (?:them|those|these))\Z", found.group())
    )


def _why(before: Asked) -> str:
    words = before.words
    if not words:
        return ""
    if words[0].plain in AUXILIARIES:
        return f"Why {lowered(before.body)}"
    things = before.set_of
    if before.counts and things is not None:
        return _why_so_many(things.noun, things.rest)
    if words[0].plain in _THAT_WAY and len(words) > 2 and words[1].plain in AUXILIARIES:
        return f"Why {before.body[words[1].start :]} {_THAT_WAY[words[0].plain]}"
    if words[0].plain in ("what", "who") and len(words) > 2 and words[1].plain in COPULAS and before.subject:
        return f"Why {words[1].plain} {before.subject} {words[0].plain} {_it(words[1].plain)}"
    if words[0].plain == "why":
        return before.body
    if imperative(before):
        return ""
    return ""


def _it(copula: str) -> str:
    return {"is": "it is", "was": "it was", "are": "they are", "were": "they were"}[copula]


def _why_so_many(noun: str, rest: str) -> str:
    first, _, behind = rest.partition(" ")
    if behind.startswith("there ") or behind == "there":
        return f"Why {first.lower()} there so many {noun} {behind[5:].strip()}".rstrip()
    if first.lower() in COPULAS:
        return f"Why {first.lower()} so many {noun} {behind}"
    if first.lower() in AUXILIARIES:
        return ""
    return f"Why do so many {noun} {rest}" if rest else ""


def _counted(before: Asked) -> str:
    things = before.set_of
    if things is None:
        return ""
    if before.counts:
        return before.body
    if things.rest.split(" ", 1)[0].lower() in AUXILIARIES:
        return f"How many {_bare(things.noun)} {things.rest}"
    if before.first in ("which", "what") and things.rest and before.words[1].plain not in COPULAS:
        return f"How many {_bare(things.noun)} {things.rest}"
    return f"How many {_bare(things.noun)} are there {things.rest}".rstrip()


def _listed(before: Asked) -> str:
    things = before.set_of
    if things is None:
        return ""
    if not before.counts:
        return before.body
    rest = things.rest
    if rest.lower() in ("are there", "do we have", ""):
        return (
            f"List the {_bare(things.noun)}"
            if rest.lower() != "do we have"
            else f"Which {things.noun} do we have"
        )
    if rest.split(" ", 1)[0].lower() in COPULAS:
        first, _, behind = rest.partition(" ")
        return f"Which {_bare(things.noun)} {first} {behind}" if behind else f"List the {things.noun}"
    return f"Which {_bare(things.noun)} {rest}"


def _bare(noun: str) -> str:
    return re.sub(r"^(?:the|all|all the) ", "", noun, flags=re.IGNORECASE)


def _asked_anew(word: str, before: Asked) -> str:
    """`where?` after `How do I return a parcel?`"""
    words = before.words
    new = word.capitalize()
    if words and words[0].plain in AUXILIARIES:
        return "" if new in ("Who", "Whom") else f"{new} {lowered(before.body)}"
    if (
        len(words) > 2
        and words[0].plain in _THAT_WAY
        and words[1].plain in AUXILIARIES
        and new.lower() in _THAT_WAY
    ):
        return f"{new} {before.body[words[1].start :]}"
    if words_of(before.body) and new == "Who" and before.set_of is not None:
        return _listed(before)
    return ""
