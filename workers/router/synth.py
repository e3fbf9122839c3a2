"""Training questions made from a schema, from documents and from general patterns.

The same seed gives the same questions. Patterns are in `phrases.yaml`.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from workers.catalogue.model import Column, Entity, SemanticModel
from workers.catalogue.vocabulary import Extract, content_words
from workers.catalogue.words import split_identifier
from workers.router.features import words
from workers.router.patterns import Patterns, spell_out

Label = Literal["documents", "sql", "direct"]
TYPO_SHARE = 0.12
_MAX_VALUE_CHARS = 40
_ATTEMPTS = 30
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Example:
    """A question and where it belongs. Examples of a `group` are never split between training and test."""

    text: str
    label: Label
    source: str
    group: str


def sql_questions(model: SemanticModel, patterns: Patterns, count: int, *, rng: random.Random) -> list[str]:
    entities = [entity for entity in model.visible if entity.visible]
    if not entities:
        return []

    def make() -> str | None:
        entity, other = rng.choice(entities), rng.choice(entities)
        slots = {**patterns.fill, **_entity_slots(entity, other, rng)}
        return spell_out(rng.choice(patterns.by_kind["sql"]), slots, rng)

    return _gathered(make, count, rng)


def document_questions(
    passages: Sequence[Extract], patterns: Patterns, count: int, *, rng: random.Random
) -> list[str]:
    readable = [passage for passage in passages if len(content_words(words(passage.text))) >= 3]
    if not readable:
        return []

    def make() -> str | None:
        slots = _passage_slots(rng.choice(readable), rng.choice(readable), rng)
        return spell_out(rng.choice(patterns.by_kind["documents"]), {**patterns.fill, **slots}, rng)

    return _gathered(make, count, rng)


def joined_questions(
    model: SemanticModel, passages: Sequence[Extract], patterns: Patterns, count: int, *, rng: random.Random
) -> list[str]:
    """Questions that need the database and the documents."""
    figures = sql_questions(model, patterns, count, rng=rng)
    if not figures or not passages:
        return []

    def make() -> str | None:
        passage = rng.choice(passages)
        slots = {**_passage_slots(passage, passage, rng), "sql_part": [rng.choice(figures)]}
        return spell_out(rng.choice(patterns.by_kind["both"]), slots, rng)

    return _gathered(make, count, rng)


def general_questions(kind: str, patterns: Patterns, count: int, *, rng: random.Random) -> list[str]:
    """Args: kind, one of `direct`, `questions_of_help`, `policy`, `world`."""
    return _gathered(lambda: spell_out(rng.choice(patterns.by_kind[kind]), patterns.fill, rng), count, rng)


def general_examples(patterns: Patterns, *, scale: float, rng: random.Random) -> list[Example]:
    """Examples that need no catalogue: our own small schemas and notes, help, policy, small talk."""
    found: list[Example] = []
    for number, world in enumerate(patterns.worlds):
        own = f"world-{number}"
        figures = sql_questions(world.model, patterns, round(130 * scale), rng=rng)
        found += labelled(figures, "sql", "synthetic-sql", own)
        explained = document_questions(world.notes, patterns, round(50 * scale), rng=rng)
        found += labelled(explained, "documents", "synthetic-documents", own)
    for kind, count in (("questions_of_help", 900), ("policy", 250), ("world", 1600)):
        found += _in_groups(
            general_questions(kind, patterns, round(count * scale), rng=rng), "documents", kind
        )
    return found + _in_groups(
        general_questions("direct", patterns, round(2400 * scale), rng=rng), "direct", "direct"
    )


def labelled(texts: Sequence[str], label: Label, source: str, group: str) -> list[Example]:
    return [Example(text, label, source, group) for text in texts]


def _in_groups(texts: Sequence[str], label: Label, source: str) -> list[Example]:
    return [Example(text, label, source, f"{source}-{number % 10}") for number, text in enumerate(texts)]


def with_typo(text: str, rng: random.Random) -> str:
    """One slip of the keyboard in one longer word: two letters swapped, one lost or one doubled."""
    parts = text.split()
    long = [place for place, part in enumerate(parts) if len(part) > 4 and part.isalpha()]
    if not long:
        return text
    place = rng.choice(long)
    word = parts[place]
    at = rng.randrange(1, len(word) - 1)
    slips = (
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
    )
    parts[place] = rng.choice(slips)
    return " ".join(parts)


def _gathered(make: Callable[[], str | None], count: int, rng: random.Random) -> list[str]:
    """Up to `count` different questions, some with a slip of the keyboard."""
    found: dict[str, None] = {}
    for _ in range(count * _ATTEMPTS):
        if len(found) >= count:
            break
        text = make()
        if text is not None:
            found[text] = None
    return [with_typo(text, rng) if rng.random() < TYPO_SHARE else text for text in found]


def _entity_slots(entity: Entity, other: Entity, rng: random.Random) -> dict[str, list[str]]:
    columns = [column for column in entity.visible if column.role != "id"] or list(entity.visible)
    dimensions = [column for column in columns if column.role == "dimension"]
    valued = [column for column in columns if column.values]
    chosen = rng.choice(valued) if valued else None
    values = [value for value in chosen.values if len(value) <= _MAX_VALUE_CHARS] if chosen else []
    spoken = [_spoken(column, rng) for column in rng.sample(columns, len(columns))]
    return {
        "e": [_name(entity, rng)],
        "es": [plural(_name(entity, rng))],
        "e2": [_name(other, rng)],
        "e2s": [plural(_name(other, rng))],
        "c": spoken[:1],
        "c2": spoken[1:2],
        "m": [_spoken(column, rng) for column in columns if column.role == "measure"],
        "d": [_spoken(column, rng) for column in columns if column.role == "date"],
        "g": [_spoken(column, rng) for column in dimensions],
        "vc": [_spoken(chosen, rng)] if chosen else [],
        "v": values,
        "v2": values,
    }


def _name(entity: Entity, rng: random.Random) -> str:
    return rng.choice((entity.name, entity.name, *entity.synonyms)).lower()


def _spoken(column: Column, rng: random.Random) -> str:
    return rng.choice((" ".join(split_identifier(column.name)), *column.synonyms)).lower()


def plural(noun: str) -> str:
    """Regular English plural; a noun that ends in `s` stays as it is."""
    if noun.endswith("s"):
        return noun
    if noun.endswith("y") and noun[-2:-1] not in ("a", "e", "o", "u"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("x", "ch", "sh", "z")) else f"{noun}s"


def _passage_slots(passage: Extract, other: Extract, rng: random.Random) -> dict[str, list[str]]:
    sentences = [found for found in map(words, _SENTENCE.split(passage.text[:4_000])) if len(found) >= 5]
    chosen = rng.choice(sentences) if sentences else words(passage.text)
    return {
        "t": _topics(passage, chosen),
        "t2": _topics(other, words(other.text[:300])),
        "k": content_words(chosen),
        "p": [_span(chosen, rng)] if len(chosen) > 2 else [],
    }


def _topics(passage: Extract, sentence: Sequence[str]) -> list[str]:
    """What the passage is about: its last headings, and neighbouring content words of a sentence."""
    heads = [" ".join(words(head)) for head in (passage.title, *passage.heading_path[-2:])]
    content = set(content_words(sentence))
    pairs = pairwise(sentence)
    spans = [f"{first} {second}" for first, second in pairs if first in content and second in content]
    singles = [word for word in content_words(sentence) if len(word) > 4]
    return [head for head in heads if head] + spans[:4] + singles[:2]


def _span(sentence: Sequence[str], rng: random.Random) -> str:
    """A run of words, now and then with a word left out, as nobody quotes a document word by word."""
    size = min(len(sentence), rng.randint(3, 7))
    start = rng.randrange(len(sentence) - size + 1)
    run = list(sentence[start : start + size])
    if len(run) > 3 and rng.random() < 0.4:
        run.pop(rng.randrange(len(run)))
    return " ".join(run)
