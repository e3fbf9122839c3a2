"""What `it`, `their` or `the second one` stand for, from the question before and the answer to it."""

import re

from workers.catalogue.words import root
from workers.router.conversation import spans
from workers.router.conversation.asked import Asked
from workers.router.conversation.sentence import (
    AUXILIARIES,
    CONJUNCTIONS,
    DETERMINERS,
    IMPERATIVES,
    PERSONS,
    QUESTION_WORDS,
    Word,
    ends_phrase,
    words_of,
)

PLURAL = frozenset(["they", "them", "their", "theirs", "those", "these"])
PERSONAL = frozenset(["he", "she", "him", "her", "his", "hers"])
SINGULAR = frozenset(["it", "its", "this", "that"])
_POSSESSIVE = frozenset(["their", "its", "his", "her"])
_OBJECT_PLACE = frozenset(["it", "them", "him", "her"])
_CLAUSE = CONJUNCTIONS | frozenset(["before", "after", "once", "until", "since", "as"])
_CITATION = re.compile(r"\s*\[\d{1,3}\]")
_ITEM = re.compile(r"(?m)^[ \t]*(?:[-*\u2022]|\d{1,2}[.)])[ \t]+(?P<item>\S[^\n]*)$")
_TITLES = frozenset(["dr", "mr", "mrs", "ms", "prof"])
_ASKS_FOR_NAME = frozenset(["who", "which", "whom", "whose", "what", "where"])
_LONGEST_ITEM = 80
_LONGEST_ANSWER = 4_000
_EMPTY_IT = re.compile(
    r"\b(?:is|was|does|will|would|did|has|can|could|should|might) it (?:possible|necessary|allowed|true"
    r"|safe|better|legal"
    r"|ok|okay|worth|mandatory|required|important|take|cost|matter|make sense|rain|been)\b.* (?:to|that"
    r"|if|for|when)\b"
    r"|\bit (?:is|was|takes?|costs?)\b.* (?:to|that|if)\b"
    r"|\bwhat (?:time|day|date|year) is it\b|\btakes? (?:it )?to\b",
    re.IGNORECASE,
)
_OF_ACTION = re.compile(
    r"(?P<head>how long (?:does|will|would|can) (?:it|this|that) (?:usually |normally )?take"
    r"|how much (?:does|will|would) (?:it|this|that) cost"
    r"|(?:is|will) (?:it|this|that) (?:be )?(?:free|possible|allowed|safe|hard|difficult|easy)"
    r"|does it cost (?:anything|extra|money|something))",
    re.IGNORECASE,
)


def pointing(words: list[Word]) -> Word | None:
    """The first word that points out of the question; None where all it needs is said in it."""
    for position, word in enumerate(words):
        if word.plain not in PLURAL | PERSONAL | SINGULAR | {"one", "ones", "there"}:
            continue
        if _points_out(words, position):
            return word
    return None


def _points_out(words: list[Word], position: int) -> bool:
    word, behind = words[position], words[position + 1 : position + 2]
    earlier = words[:position]
    if word.plain in ("one", "ones"):
        return _is_elliptic_one(earlier, behind)
    if word.plain == "there":
        return (
            bool(earlier)
            and earlier[-1].plain not in AUXILIARIES
            and not (behind and behind[0].plain in AUXILIARIES)
        )
    if word.plain in ("this", "that", "these", "those") and behind:
        if word.plain == "this" and _is_time(words, position):
            return False
        if word.plain in ("that", "those") and earlier and not _is_copula(earlier[-1]):
            # `orders that were late`, `that` that opens a clause.
            return word.plain == "those" and behind[0].plain not in (
                "that",
                "who",
                "which",
                "with",
                "in",
                "of",
            )
        if behind[0].plain == "days":
            return False
        if not ends_phrase(behind[0], None):
            return True
    return not _has_antecedent(earlier, word)


def _is_elliptic_one(earlier: list[Word], behind: list[Word]) -> bool:
    if not earlier or earlier[-1].plain in ("no", "any", "at", "by", "is", "in", "from", "than", "to"):
        return False
    return (
        not behind
        or behind[0].plain in AUXILIARIES
        or behind[0].plain in ("with", "in", "from", "of", "has", "have")
    )


def _is_time(words: list[Word], position: int) -> bool:
    return len(words) > position + 1 and bool(spans.TIME.match(f"this {words[position + 1].text}"))


def _is_copula(word: Word) -> bool:
    return word.plain in AUXILIARIES or word.plain in ("about", "of", "for", "with", "in", "do", "to", "like")


_NO_ANTECEDENTS = (
    DETERMINERS
    | PERSONS
    | QUESTION_WORDS
    | PLURAL
    | SINGULAR
    | PERSONAL
    | IMPERATIVES
    | frozenset(("me", "us"))
)


def _has_antecedent(earlier: list[Word], word: Word) -> bool:
    """Whether something before it in the question can be meant.

    A subject can't be meant by the object of its own clause (`Does the warranty cover it?`): there a new
    clause must lie in between.
    """
    things = [
        i
        for i, found in enumerate(earlier)
        if not ends_phrase(found, None)
        and found.plain not in _NO_ANTECEDENTS
        and found.plain not in ("many", "much", "long", "often", "far", "old", "big", "there")
        and not ends_phrase(
            found, earlier[i - 1] if i and earlier[i - 1].plain not in QUESTION_WORDS else found
        )
    ]
    if not things:
        return False
    if word.plain in _POSSESSIVE and word.plain != "her":
        return True
    between = earlier[things[0] + 1 :]
    return any(found.plain in _CLAUSE or found.plain in ("to", "of") for found in between)


def is_complete(question: str) -> bool:
    """`Is it possible to pay later?`: an `it` that stands for nothing that was said."""
    return _EMPTY_IT.search(question) is not None


def resolve(question: str, before: Asked) -> str:
    """The question with what it points to in its place; empty where no rule finds that."""
    words = words_of(question)
    word = pointing(words)
    if word is None:
        return ""
    whole = _of_action(question, before)
    if whole:
        return whole
    if word.plain in ("one", "ones"):
        swapped = _other_extreme(question, before)
        if swapped:
            return swapped
        return _with_kind(question, word, before)
    if word.plain == "there":
        place = place_of(before)
        return f"{question[: word.start]}{place}{question[word.end :]}" if place else ""
    return _with_referent(question, words, word, before)


def _of_action(question: str, before: Asked) -> str:
    """`How long does it take?` after `How do I return a parcel?` is about returning one."""
    done = re.search(r"\b(?:do|doing) (?:it|this|that|so)\b", question, re.IGNORECASE)
    if done and before.action:
        return f"{question[: done.start()]}{before.action}{question[done.end() :]}"
    found = _OF_ACTION.fullmatch(question.rstrip(" ?"))
    return f"{question.rstrip(' ?')} to {before.action}" if found and before.action else ""


def _other_extreme(question: str, before: Asked) -> str:
    """`Which one has the fewest?` after `Which doctor has the most patients?`"""
    new, old = (list(spans.SUPERLATIVE.finditer(text)) for text in (question, before.body))
    if len(new) != 1 or len(old) != 1 or not question.lower().startswith("which one"):
        return ""
    return f"{before.body[: old[0].start()]}{new[0].group()}{before.body[old[0].end() :]}"


def _with_kind(question: str, word: Word, before: Asked) -> str:
    """`which one` -> `which of the laptops`, `the cheapest one` -> `the cheapest of the laptops`."""
    things = before.set_of
    if things is None:
        single = before.subject.startswith(("a ", "an ")) and word.plain == "one"
        return f"{question[: word.start]}{before.subject}{question[word.end :]}" if single else ""
    if before.first in ("which", "what") and not _is_plural(things.noun):
        return f"{question[: word.start]}{things.noun}{question[word.end :]}"
    of = "" if question[: word.start].rstrip().lower().endswith("of") else "of "
    return f"{question[: word.start]}{of}{things.narrowed}{question[word.end :]}"


def _with_referent(question: str, words: list[Word], word: Word, before: Asked) -> str:
    position = words.index(word)
    demonstrative = word.plain in ("this", "that", "these", "those")
    if demonstrative and position + 1 < len(words) and not ends_phrase(words[position + 1], None):
        return _with_named(question, words, position, before)
    meant = referent(word.plain, before)
    if not meant:
        return ""
    end = word.end
    if word.plain == "its" and before.owner:
        meant = before.owner
    if word.plain in _POSSESSIVE and (word.plain != "her" or _has_noun(words, position)):
        return _possessed(question, words, position, meant)
    if question[end : end + 2].lower() in ("'s", "\u2019s"):
        meant, end = f"{meant} is", end + 2
    return f"{question[: word.start]}{meant}{question[end:]}"


def _has_noun(words: list[Word], position: int) -> bool:
    return position + 1 < len(words) and not ends_phrase(words[position + 1], None)


def _with_named(question: str, words: list[Word], position: int, before: Asked) -> str:
    """`those orders` is what the question before said of orders; another noun stands beside what it meant."""
    noun = words[position + 1]
    things = before.set_of
    if things is not None and root(noun.plain) in {root(word.plain) for word in words_of(things.noun)}:
        return f"{question[: words[position].start]}{things.narrowed}{question[noun.end :]}"
    subject = before.subject
    if subject and root(noun.plain) in {root(word.plain) for word in words_of(subject)}:
        return f"{question[: words[position].start]}{subject}{question[noun.end :]}"
    return ""


def _possessed(question: str, words: list[Word], position: int, meant: str) -> str:
    """`their manager` -> `the manager of the agents in Berlin`, `Anna Berg's manager`."""
    word, end, earlier = words[position], words[position].end, None
    for found in words[position + 1 :]:
        if ends_phrase(found, earlier) and found.plain not in ("most", "least"):
            break
        end, earlier = found.end, found
    end = _with_second(question, end)
    owned = question[word.end : end].strip()
    if not owned:
        return ""
    if len(words_of(meant)) <= 3 and meant.split(" ", 1)[0].lower() not in DETERMINERS:
        made = f"{meant}'s {owned}"
    else:
        made = f"the {owned} of {meant}"
    return f"{question[: word.start]}{made}{question[end:]}"


def _with_second(question: str, end: int) -> int:
    """Where `names and ages` ends, from where `names` does."""
    found = re.match(r" and (?P<second>\w+)(?= *[?.!]?$)", question[end:])
    return end if found is None or ends_phrase(words_of(found["second"])[0]) else end + found.end()


def referent(pronoun: str, before: Asked) -> str:
    """What a pronoun stands for, as a noun phrase; empty where nothing fits it."""
    if pronoun in PERSONAL:
        told = named_in_answer(before) if before.first != "where" else ""
        return told or _last_name(before) or before.subject
    things = before.set_of
    if pronoun in PLURAL:
        if things is not None:
            return things.narrowed
        return named_in_answer(before) or _in_number(before, plural=True)
    if before.first == "who" and not before.set_of and before.words[1:2] and not _is_copula(before.words[1]):
        return next(reversed(before.chunks), "")
    if things is not None and not before.counts and before.first == "which":
        return named_in_answer(before) or before.thing
    return _in_number(before, plural=False)


def _in_number(before: Asked, *, plural: bool) -> str:
    """The subject, unless it is one where many are meant, or many where one is, and another phrase fits."""
    found = before.thing
    if found and _is_plural(found) == plural:
        return found
    return next((chunk for chunk in reversed(before.chunks) if _is_plural(chunk) == plural), found)


def _is_plural(phrase: str) -> bool:
    head = words_of(re.split(r" (?:of|in|on|for|from|with|that|by|at) ", phrase, maxsplit=1)[0])
    return bool(head) and head[-1].plain.endswith("s") and not head[-1].plain.endswith(("ss", "us", "is"))


def named_in_answer(before: Asked) -> str:
    """The one name that the answer's first sentence adds to a question for who or which."""
    if before.first not in _ASKS_FOR_NAME or not before.answer:
        return ""
    text = clean(before.answer)
    first = re.split(r"(?<!\b[DMS][rst]\.)(?<=[.!?])\s|\n", text, maxsplit=1)[0]
    known = before.body.lower()
    found = [first[span.start : span.end] for span in spans.names(first)]
    head = _opening_name(first)
    if head:
        found = [head, *(name for name in found if name not in head)]
    new = [name for name in dict.fromkeys(found) if name.lower() not in known and len(name) <= _LONGEST_ITEM]
    return new[0] if len(new) == 1 else ""


def _opening_name(text: str) -> str:
    """The name that a sentence begins with, followed by a verb: a capital alone says little there."""
    words = words_of(text)
    run: list[Word] = []
    for word in words:
        if not word.capital or (not run and ends_phrase(word, None)) or word.plain in _NO_ANTECEDENTS:
            break
        run.append(word)
    behind = words[len(run) : len(run) + 1]
    if (
        not run
        or (len(run) == 1 and not (behind and ends_phrase(behind[0], run[0])))
        or run[-1].plain in _TITLES
    ):
        return ""
    return "" if run[0].plain in ("yes", "there", "sorry") else text[run[0].start : run[-1].end]


def _last_name(before: Asked) -> str:
    found = spans.names(before.body)
    if not found:
        return ""
    start = found[-1].start
    article = re.search(r"\bthe $", before.body[:start], re.IGNORECASE)
    return before.body[article.start() if article else start : found[-1].end]


def place_of(before: Asked) -> str:
    """`in Berlin`: where the question before was about."""
    for span in reversed(spans.names(before.body)):
        earlier = words_of(before.body[: span.start])
        if earlier and earlier[-1].plain in ("in", "at", "from", "near", "to"):
            return f"in {before.body[span.start : span.end]}"
    if before.first == "where":
        named = named_in_answer(before)
        return f"in {named}" if named else f"at {before.subject}" if before.subject else ""
    return (
        f"in {before.subject}"
        if before.subject and before.first in ("what", "which") and before.set_of is None
        else ""
    )


def items(answer: str) -> list[str]:
    """What an answer lists: lines with bullets or numbers, rows of a table, or `A, B and C`."""
    text = answer[:_LONGEST_ANSWER]
    lines = [_short(found["item"]) for found in _ITEM.finditer(text)]
    if len(lines) >= 2:
        return lines
    rows = [line for line in text.splitlines() if line.strip().startswith("|")]
    if len(rows) >= 3:
        return [_short(row.strip(" |").split("|", 1)[0]) for row in rows[2:]]
    first = re.split(r"(?<=[.!?])\s|\n", clean(text).strip(), maxsplit=1)[0].rstrip(".")
    stretches = re.split(r":|\b(?:are|is|were|was|include|includes)\b", first)
    return next((listed for stretch in reversed(stretches) if (listed := _enumerated(stretch))), [])


def _enumerated(text: str) -> list[str]:
    parts = [
        part.strip()
        for part in re.split(r",\s*(?:and\s+|or\s+)?|\s+and\s+|\s+or\s+|;\s*", text)
        if part.strip()
    ]
    return (
        [_short(part) for part in parts]
        if len(parts) >= 2 and all(len(words_of(p)) <= 6 for p in parts)
        else []
    )


def _short(item: str) -> str:
    """An item's name: without citation, markup, and what follows a colon or a dash."""
    plain_item = re.sub(r"[*_`#|]", "", clean(item)).strip()
    head = re.split(r"\s*[:\u2013\u2014(]\s|\s-\s|\s*\(", plain_item, maxsplit=1)[0].strip(" .,;")
    return head[:_LONGEST_ITEM].strip()


def clean(text: str) -> str:
    """Without citations and control or formatting characters."""
    return "".join(
        char for char in _CITATION.sub("", text[:_LONGEST_ANSWER]) if char.isprintable() or char == "\n"
    )
