"""From a follow-up to a question that stands for itself, by rules.

A question that needs nothing of the conversation stays as it was asked, letter for letter. Of one that does,
the rules put what it leaves out in its place. Where they know that something is missing, and not what, the
question before stands in front, so that retrieval finds its words, and the rewriting is not `sure`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from contracts import Turn
from workers.catalogue.linking import SchemaIndex, link
from workers.catalogue.vocabulary import content_words
from workers.router.conversation import bare, fragments, references, spans
from workers.router.conversation.asked import Asked
from workers.router.conversation.fragments import Fragment
from workers.router.conversation.sentence import (
    AUXILIARIES,
    IMPERATIVES,
    PREPOSITIONS,
    QUESTION_WORDS,
    Word,
    sentence,
    stripped,
    words_of,
)

TURNS = 12
"""So many turns are looked at: what came before them no longer matters."""
_READ_CHARS = 1_600
"""Of a longer turn the end is read."""
LONGEST = 400
"""A longer question says all that it needs; a longer one before it is shortened to its last sentence."""
_POLITE = re.compile(
    r"(?:(?:ok|okay|thanks|thank you|great|good|nice|perfect|cool|i see|got it|hm+|alright|right|sure"
    r"|yes|no|interesting|well|sorry)"
    r"(?: (?:a lot|very much|so much|for that|then))?[\s,.!;:\u2013-]+)+",
    re.IGNORECASE,
)
_SMALL_TALK = re.compile(
    r"(?:(?:ok|okay|thanks|thank you|great|good|nice|perfect|cool|i see|got it|hm+|hi|hello|hey|bye"
    r"|goodbye|good (?:morning|evening|afternoon)"
    r"|very|much|so|a lot|you|helpful|that|was|is|yes|no|for|the|help|there|awesome"
    r"|wonderful)\b[\s,.!;:?]*)+\Z",
    re.IGNORECASE,
)
_LEADER = re.compile(
    r"(?:(?:and|but|or|also|now|then|so|plus|what about|how about|and what about|and how about"
    r"|what if (?:we|i) (?:take|use|look at)"
    r"|(?:can you |could you |please )*(?:do |show |give me |run )?(?:the )?same (?:thing |question "
    r"|query )?(?:for|but for|in|with|but)"
    r"|(?:how|what) (?:is|was|were|are) (?:it|that|this|they) (?=in |for |at |on |last |during )"
    r"|and)(?:,| the same)?\s+)+(?=\S)",
    re.IGNORECASE,
)
_STRONG = re.compile(
    r"(?:and|but|or|what about|how about|.*\bsame\b|plus|(?:how|what) (?:is|was|were|are) )", re.IGNORECASE
)
_TAIL = re.compile(r"[\s,]+(?:then|instead|too|as well|please|though|now)\Z", re.IGNORECASE)
_ELLIPTIC = re.compile(
    r"(?:how many|how much|how often|which|what|who|when|where|how)(?: of (?:them|those"
    r"|these))?(?: (?:were|was|are|is|did|do))?(?: (?:there|they|that|it))?\s+(?=\S)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Rewriting:
    """`changed` says that the question needs the conversation; `sure` that the rules know how."""

    question: str
    changed: bool = False
    sure: bool = True


def rewrite(question: str, history: Sequence[Turn], schema: SchemaIndex | None = None) -> Rewriting:
    """The question as somebody would ask it who has not heard what was said before."""
    before: Asked | None = None
    asked, answer = "", ""
    for turn in history[-TURNS:]:
        if turn.role == "assistant":
            answer = turn.content
            if before is not None:
                before = Asked(before.text, answer)
        elif not _SMALL_TALK.match(turn.content) and turn.content.strip():
            asked = _of(turn.content, before, schema).question
            before = Asked(_last_sentence(asked))
    return _of(question, before, schema)


def _of(question: str, before: Asked | None, schema: SchemaIndex | None) -> Rewriting:
    if before is None or not before.words or len(question) > LONGEST or _SMALL_TALK.match(question):
        return Rewriting(question)
    spoken = _spoken(question)
    if not spoken:
        return Rewriting(question)
    made = _by_rules(spoken, before, schema)
    if made is None:
        return Rewriting(question)
    if made:
        return Rewriting(sentence(made), changed=True)
    return Rewriting(f"{before.text.strip()} {question.strip()}", changed=True, sure=False)


def _by_rules(spoken: str, before: Asked, schema: SchemaIndex | None) -> str | None:
    """None: it needs no rewriting; empty: it does, and no rule knows how."""
    expanded = bare.expand(spoken, before)
    if expanded:
        return expanded
    if bare.is_bare(spoken):
        return ""
    picked = bare.pick(spoken, before)
    if picked:
        return picked
    if bare.picks(spoken):
        return ""
    leader, rest = _led(spoken)
    changed = _changed_part(leader, rest, before, schema)
    if changed is not None:
        return changed
    return _resolved(rest if leader else spoken, before)


def _changed_part(leader: str, rest: str, before: Asked, schema: SchemaIndex | None) -> str | None:
    """None where it is a sentence of its own."""
    words = words_of(rest)
    if not words or len(words) > 9:
        return None
    part = _part(rest, words)
    if not part:
        return None
    pointed = references.pointing(words_of(part))
    if pointed is not None and pointed.plain not in ("one", "ones") and leader:
        return None
    made = fragments.complete(Fragment(part, schema), before)
    if leader and _STRONG.match(leader):
        return made
    return made if made and _is_part(part, before, schema) else None


def _part(rest: str, words: list[Word]) -> str:
    """What a follow-up changes, where it is no whole sentence; `how many in May` changes `in May`."""
    elliptic = _ELLIPTIC.match(rest)
    if elliptic:
        left = rest[elliptic.end() :]
        found = words_of(left)
        first = found[0].plain if found else ""
        typed = first in PREPOSITIONS or spans.whole(spans.times(left), left)
        return left if typed and not _has_verb(found) else ""
    if words[0].plain in AUXILIARIES | QUESTION_WORDS:
        return ""
    if words[0].plain in IMPERATIVES and not re.match(r"(?:sort|order|rank)\b", rest, re.IGNORECASE):
        return ""
    ordered = "," in rest and any(word.plain in IMPERATIVES for word in words[1:])
    return "" if ordered or _has_verb(words[1:]) else rest


def _has_verb(words: list[Word]) -> bool:
    return any(word.plain in AUXILIARIES and word.plain != "may" for word in words)


def _is_part(part: str, before: Asked, schema: SchemaIndex | None) -> bool:
    """Whether words without `and` before them are a part of a sentence, and no new subject in keywords."""
    first = part.split(" ", 1)[0].lower()
    if first in PREPOSITIONS or first in (
        "only",
        "just",
        "sorted",
        "sort",
        "order",
        "ordered",
        "ranked",
        "top",
        "the",
    ):
        return True
    if " instead of " in part or spans.whole(spans.times(part), part) or spans.COMPARISON.fullmatch(part):
        return True
    if spans.SUPERLATIVE.fullmatch(part) or spans.NUMBER.fullmatch(part):
        return True
    if schema is not None and any(found.of("value") for found in link(part, schema).links):
        return True
    return len(words_of(part)) <= 3 and bool(spans.names(f"x {part}")) and bool(spans.names(before.body))


def _resolved(spoken: str, before: Asked) -> str | None:
    words = words_of(spoken)
    if references.pointing(words) is None:
        return None
    if references.is_complete(spoken):
        return None
    made = references.resolve(spoken, before)
    if made:
        return made
    # Doubtful: a question that says much itself is better left alone.
    return "" if len(content_words([word.plain for word in words])) <= 3 else None


def _spoken(question: str) -> str:
    text = " ".join(question.split())
    polite = _POLITE.match(text)
    text = text[polite.end() :] if polite else text
    last = re.split(r"(?<=[.!])\s+(?=[A-Z])", text)[-1]
    return _TAIL.sub("", stripped(last))


def _led(spoken: str) -> tuple[str, str]:
    found = _LEADER.match(spoken)
    if found is None:
        return "", spoken
    return found.group().strip(), spoken[found.end() :]


def _last_sentence(text: str) -> str:
    """Of a question that begins with a story, or is very long, what is asked in the end."""
    parts = [
        part for part in re.split(r"(?<=[.?!])\s+", text.strip()[-_READ_CHARS:]) if len(part.split()) >= 3
    ]
    asked = [part for part in parts if part.endswith("?")]
    found = (asked or parts or [text.strip()])[-1]
    return found if len(found) <= LONGEST else found[-LONGEST:]
