"""A follow-up that says only what changes: `and last year?`, `what about Canada?`, `by month`.

The part of the question before that it exchanges is found by what sort of part it is: a time for a time, a
value for a value of the same column, a name for a name, `for students` for `for adults`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from workers.catalogue.linking import Link, Links, SchemaIndex, link
from workers.catalogue.words import root
from workers.router.conversation import spans
from workers.router.conversation.asked import Asked
from workers.router.conversation.sentence import (
    DETERMINERS,
    PERSONS,
    PREPOSITIONS,
    Word,
    ends_phrase,
    is_describing,
    words_of,
)
from workers.router.conversation.spans import Span

_REFINEMENT = re.compile(
    r"(?:but )?(?:only|just|excluding|except(?: for)?|without|including|limited to|restricted to)\b",
    re.IGNORECASE,
)
_SORTING = re.compile(
    r"(?:and |now )?(?:sort|sorted|order|ordered|rank|ranked)(?: (?:them|it|those|these))? (?P<how>by .+"
    r"|alphabetically.*)",
    re.IGNORECASE,
)
_UNITS = re.compile(
    r"(?:as|in) (?:a )?(?:percentage|percent|euros?|dollars?|pounds?|usd|eur|gbp|%|hours|minutes|days)\b",
    re.IGNORECASE,
)
_ONLY_ONES = re.compile(r"\b(?:only|just)\s+(?:the\s+|those\s+)?(?:ones\s+|those\s+)?", re.IGNORECASE)
_TOP = re.compile(
    r"(?:the )?(?P<which>top|first|last|bottom) (?P<count>\d+|one|two|three|four|five|ten)\b", re.IGNORECASE
)


_PLACES = ("in", "on", "at")


@dataclass(frozen=True)
class Fragment:
    """What a follow-up says, without `and`, `what about` and the like."""

    text: str
    schema: SchemaIndex | None = None

    @property
    def core(self) -> str:
        """Without its preposition."""
        return self.text[len(self.preposition) :].strip()

    @property
    def preposition(self) -> str:
        first = self.text.split(" ", 1)[0]
        return first if first.lower() in PREPOSITIONS and " " in self.text else ""


def complete(fragment: Fragment, before: Asked) -> str:
    """The question before with this part exchanged or added; empty where no rule is sure."""
    return next((made for rule in _RULES if (made := rule(fragment, before))), "")


def _time(fragment: Fragment, before: Asked) -> str:
    found = spans.times(fragment.text)
    return spans.with_time(before.body, fragment.text) if spans.whole(found, fragment.text) else ""


def _top(fragment: Fragment, before: Asked) -> str:
    new, old = _TOP.fullmatch(fragment.text), _TOP.search(before.body)
    if new is None:
        return ""
    if old is not None:
        return f"{before.body[: old.start('which')]}{new['which']} {new['count']}{before.body[old.end() :]}"
    return f"{before.body}, only the {new['which'].lower()} {new['count']}"


def _comparison(fragment: Fragment, before: Asked) -> str:
    new, old = spans.COMPARISON.fullmatch(fragment.text), spans.COMPARISON.search(before.body)
    if new is not None and old is not None:
        return f"{before.body[: old.start()]}{new.group()}{before.body[old.end() :]}"
    if spans.NUMBER.fullmatch(fragment.text):
        numbers = [found for found in spans.NUMBER.finditer(before.body) if not _in_time(found, before)]
        if len(numbers) == 1:
            return f"{before.body[: numbers[0].start()]}{fragment.text}{before.body[numbers[0].end() :]}"
    return ""


def _in_time(found: re.Match[str], before: Asked) -> bool:
    return any(span.start <= found.start() < span.end for span in spans.times(before.body))


def _grouping(fragment: Fragment, before: Asked) -> str:
    new = spans.GROUPING.fullmatch(fragment.text)
    if new is None or _is_name(new["what"]):
        return ""
    old = next((found for found in spans.GROUPING.finditer(before.body) if not _doer(found, before)), None)
    if old is not None and (len(words_of(old["what"])) <= 2 or old.end() == len(before.body)):
        return f"{before.body[: old.start()]}{fragment.text}{before.body[old.end() :]}"
    return f"{before.body} {fragment.text}"


def _doer(found: re.Match[str], before: Asked) -> bool:
    """`by` behind a participle names who did it: `orders placed by customers`."""
    earlier = words_of(before.body[: found.start()])
    return found.group().lower().startswith("by") and bool(earlier) and is_describing(earlier[-1].plain)


def _sorting(fragment: Fragment, before: Asked) -> str:
    new = _SORTING.fullmatch(fragment.text)
    if new is None:
        return ""
    kept = re.sub(r",? (?:sorted|ordered|ranked) by .*$", "", before.body, flags=re.IGNORECASE)
    return f"{kept}, sorted {new['how']}"


def _instead(fragment: Fragment, before: Asked) -> str:
    """`average instead of total`"""
    new, instead, old = fragment.text.partition(" instead of ")
    at = before.body.lower().find(old.lower()) if instead else -1
    return f"{before.body[:at]}{new}{before.body[at + len(old) :]}" if at >= 0 else ""


def _superlative(fragment: Fragment, before: Asked) -> str:
    core = re.sub(
        r"^the ", "", re.sub(r" ones?$", "", fragment.text, flags=re.IGNORECASE), flags=re.IGNORECASE
    )
    old = list(spans.SUPERLATIVE.finditer(before.body))
    if spans.SUPERLATIVE.fullmatch(core) and len(old) == 1:
        return f"{before.body[: old[0].start()]}{core}{before.body[old[0].end() :]}"
    return ""


def _refinement(fragment: Fragment, before: Asked) -> str:
    if _UNITS.fullmatch(fragment.text):
        kept = _UNITS.sub("", before.body).rstrip()
        return f"{kept} {fragment.text}"
    if not _REFINEMENT.match(fragment.text):
        return ""
    rest = _ONLY_ONES.sub("", fragment.text).strip()
    if spans.whole(spans.times(rest), rest):
        return spans.with_time(before.body, rest)
    narrowed = _describing_word(rest, before)
    return narrowed or f"{before.body}, {fragment.text}"


def _describing_word(rest: str, before: Asked) -> str:
    """`only active` becomes part of the noun: `How many active users ...`."""
    found = re.fullmatch(r"([\w-]+)(?: ones)?", rest)
    things = before.set_of
    if found is None or things is None or found[1].lower() in PREPOSITIONS:
        return ""
    at = before.body.index(things.noun)
    return f"{before.body[:at]}{found[1]} {before.body[at:]}"


def _catalogued(fragment: Fragment, before: Asked) -> str:
    """A value for a value of the same column, a table for a table, a column for a column."""
    if fragment.schema is None:
        return ""
    new, old = link(fragment.core, fragment.schema), link(before.body, fragment.schema)
    if len(new.links) != 1 or not _covers(new.links[0], new):
        return ""
    for kind in ("value", "entity", "column"):
        for found in reversed(old.links) if kind == "value" else old.links:
            if _alike(new.links[0], found, kind):
                return _exchanged(before, old, found, fragment)
    return ""


def _covers(found: Link, links: Links) -> bool:
    """Whether the link is all of the fragment but for an article."""
    outside = [token for i, token in enumerate(links.tokens) if not found.first <= i < found.last]
    return all(token.lower in DETERMINERS or token.kind == "symbol" for token in outside)


def _alike(new: Link, old: Link, kind: str) -> bool:
    ours = [target for target in new.targets if target.kind == kind]
    theirs = [target for target in old.targets if target.kind == kind]
    if kind == "value":
        return any((a.entity, a.column) == (b.entity, b.column) for a in ours for b in theirs)
    if not ours or not theirs or new.targets[0].kind != kind or old.targets[0].kind != kind:
        return False
    if kind == "column":
        return any(a.entity == b.entity and a.column != b.column for a in ours for b in theirs)
    return ours[0].entity != theirs[0].entity


def _exchanged(before: Asked, old: Links, found: Link, fragment: Fragment) -> str:
    start, end = old.tokens[found.first].start, old.tokens[found.last - 1].end
    return (
        f"{before.body[:start]}{re.sub(r'^the ', '', fragment.core, flags=re.IGNORECASE)}{before.body[end:]}"
    )


def _name(fragment: Fragment, before: Asked) -> str:
    """`Canada` for the last name, or for the one behind the same preposition."""
    if not _is_name(fragment.core):
        return ""
    old = [span for span in spans.names(before.body) if not spans.times(before.body[span.start : span.end])]
    same = [
        span
        for span in old
        if fragment.preposition and _preposition_of(span, before) == fragment.preposition.lower()
    ]
    if same or (len(old) >= 1 and not fragment.preposition):
        chosen = (same or old)[-1]
        articled = re.search(r"\bthe $", before.body[: chosen.start], re.IGNORECASE)
        new = re.sub(r"^the ", "", fragment.core, flags=re.IGNORECASE) if articled else fragment.core
        return spans.replaced(before.body, chosen, new)
    return ""


def _is_name(text: str) -> bool:
    words = words_of(text)
    inner = [word for word in words if word.plain not in ("of", "and", "the", "&", "de", "van", "von")]
    return bool(inner) and len(words) <= 6 and all(word.capital or word.text[0].isdigit() for word in inner)


def _preposition_of(span: Span, before: Asked) -> str:
    earlier = [word for word in words_of(before.body[: span.start]) if word.plain not in DETERMINERS]
    return earlier[-1].plain if earlier else ""


def _same_preposition(fragment: Fragment, before: Asked) -> str:
    """`for students` in the place of `for adults`; added behind a question that has no such part."""
    if not fragment.preposition or not fragment.core:
        return ""
    own = fragment.preposition.lower()
    starts = [word for word in before.words[1:] if word.plain == own]
    if not starts and own in _PLACES:
        starts = [
            word for word in before.words[1:] if word.plain in _PLACES and _places(word, before, fragment)
        ]
    if starts:
        end = _phrase_end(before, starts[-1])
        return f"{before.body[: starts[-1].start]}{fragment.text}{before.body[end:]}"
    if fragment.preposition.lower() in ("in", "for", "at", "with", "from", "on", "near", "without", "to"):
        return f"{before.body} {fragment.text}"
    return ""


def _places(preposition: Word, before: Asked, fragment: Fragment) -> bool:
    """`on the balcony` and `in the garden` are places; `on Linux` and `in Norway` need not be of one kind."""
    behind = [word for word in before.words if word.start > preposition.start][:1]
    articled = bool(behind) and behind[0].plain in DETERMINERS
    return articled and fragment.core.split(" ", 1)[0].lower() in DETERMINERS


def _phrase_end(before: Asked, preposition: Word) -> int:
    end, earlier = preposition.end, None
    for word in before.words:
        if word.start <= preposition.start:
            continue
        if ends_phrase(word, earlier):
            break
        end, earlier = word.end, word
    return end


def _same_head(fragment: Fragment, before: Asked) -> str:
    """`the premium plan` for `the basic plan`: two things of one kind."""
    new = words_of(fragment.core)
    if not new or len(new) > 5:
        return ""
    head = root(new[-1].plain)
    for position, word in enumerate(before.words):
        if root(word.plain) == head:
            start = _phrase_start(before, position)
            return f"{before.body[:start]}{fragment.core}{before.body[word.end :]}"
    return ""


def _phrase_start(before: Asked, position: int) -> int:
    start = before.words[position].start
    for word in reversed(before.words[:position]):
        if word.plain in DETERMINERS:
            return word.start
        if ends_phrase(word, None) or word.plain in ("which", "what", "many", "much", "i", "we", "you"):
            break
        start = word.start
    return start


def _subject(fragment: Fragment, before: Asked) -> str:
    """`invoicing` for `billing` in `How does billing work?`"""
    new = words_of(fragment.text)
    if fragment.preposition or not 1 <= len(new) <= 2 or any(ends_phrase(word, None) for word in new):
        return ""
    old = re.search(
        r"\b(?:do|does|did) (?P<who>\w+) (?=\w)|\b(?:is|are|was|were) (?P<what>\w+) (?=\w+$)", before.body
    )
    if old is None:
        return ""
    group = "who" if old["who"] else "what"
    if old[group].lower() in PERSONS | DETERMINERS | PREPOSITIONS | frozenset(("there",)):
        return ""
    return f"{before.body[: old.start(group)]}{fragment.text}{before.body[old.end(group) :]}"


def _participle(fragment: Fragment, before: Asked) -> str:
    """`cancelled` for `shipped`."""
    new = words_of(fragment.text)
    if len(new) != 1 or not is_describing(new[0].plain):
        return ""
    old = [
        word for word in before.words if is_describing(word.plain) and word.plain[-2:] == new[0].plain[-2:]
    ]
    if len(old) != 1:
        return ""
    return f"{before.body[: old[0].start]}{fragment.text}{before.body[old[0].end :]}"


def _last_thing(fragment: Fragment, before: Asked) -> str:
    """`tablets` for `laptops` at the end: things without an article for such, with one for one with it."""
    new = words_of(fragment.core)
    if not 1 <= len(new) <= 3 or any(ends_phrase(word, None) for word in new):
        return ""
    whose = before.first in ("what", "who") and not before.counts
    prepositions = [w for w in before.words if w.plain in PREPOSITIONS and (w.plain != "of" or whose)]
    if not prepositions or fragment.preposition:
        return ""
    old = words_of(before.body[prepositions[-1].end :])
    if not old or len(old) > 3 or any(ends_phrase(word, None) for word in old):
        return ""
    if (old[0].plain in DETERMINERS) != (new[0].plain in DETERMINERS):
        return ""
    return f"{before.body[: prepositions[-1].end]} {fragment.core}"


_RULES: tuple[Callable[[Fragment, Asked], str], ...] = (
    _instead,
    _time,
    _top,
    _comparison,
    _sorting,
    _catalogued,
    _grouping,
    _superlative,
    _refinement,
    _name,
    _same_head,
    _same_preposition,
    _participle,
    _subject,
    _last_thing,
)
