"""Words of a question found in a schema: tables, columns and values, with how sure each is.

The index is built once for a model; linking a question is a few hundred dictionary look-ups.
"""

from collections import defaultdict
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace
from typing import Literal

from workers.catalogue.model import Column, Entity, SemanticModel
from workers.catalogue.tokens import Token, tokenise
from workers.catalogue.words import (
    RELATED_WORDS,
    STOP_WORDS,
    fold,
    key_of,
    root,
    split_identifier,
    stem,
    within_one_edit,
    word_set,
)

LinkKind = Literal["entity", "column", "value"]

_MAX_PHRASE = 5
_MAX_VALUE_PHRASE = 8
_MIN_TYPO_CHARS = 5
# Words that say what sort of column it is rather than which: `status code`, `hire date`, `product name`.
GENERIC_WORDS = word_set(
    """code name date time timestamp number id key type value text description at on flag is has ts details
    info of the and other no nr count"""
)


@dataclass(frozen=True)
class Target:
    """What a phrase of the schema stands for."""

    kind: LinkKind
    entity: str
    column: str | None = None
    value: str | None = None
    score: float = 1.0


@dataclass(frozen=True)
class Link:
    """Tokens `first` to `last` (exclusive) and all that they may stand for, best first."""

    first: int
    last: int
    targets: tuple[Target, ...]

    @property
    def score(self) -> float:
        return self.targets[0].score

    def of(self, kind: LinkKind) -> tuple[Target, ...]:
        return tuple(target for target in self.targets if target.kind == kind)


@dataclass(frozen=True)
class Links:
    """`coverage` is the share of content words that the schema explains, by name or by value."""

    tokens: tuple[Token, ...]
    links: tuple[Link, ...]
    coverage: float
    name_coverage: float
    value_coverage: float

    def entities(self) -> dict[str, float]:
        """Best score of each entity that is named, or whose column or value is."""
        best: dict[str, float] = defaultdict(float)
        for link in self.links:
            for target in link.targets:
                weight = target.score if target.kind == "entity" else 0.8 * target.score
                best[target.entity] = max(best[target.entity], weight)
        return dict(best)


class SchemaIndex:
    """The phrases and values of a model, ready for look-up."""

    def __init__(self, model: SemanticModel) -> None:
        self.model = model
        names: dict[str, dict[tuple[LinkKind, str, str | None], float]] = defaultdict(dict)
        values: dict[str, list[Target]] = defaultdict(list)
        for entity in model.visible:
            for key, score in _entity_phrases(entity):
                _keep_best(names[key], ("entity", entity.key, None), score)
            for column in entity.visible:
                for key, score in _column_phrases(entity, column):
                    _keep_best(names[key], ("column", entity.key, column.name), score)
                for spoken, value in _spoken_values(column):
                    values[spoken].append(Target("value", entity.key, column.name, value, 1.0))
        self._names = {key: _sorted_targets(found) for key, found in names.items()}
        self._values = {key: tuple(found) for key, found in values.items()}
        self._value_words: dict[str, int] = {}
        for key in self._values:
            first, size = key.split(" ", 1)[0], key.count(" ") + 1
            self._value_words[first] = max(size, self._value_words.get(first, 0))
        self._roots = self._by_root()
        self._by_length: dict[tuple[int, str], list[str]] = defaultdict(list)
        for key in self._names:
            if len(key) >= _MIN_TYPO_CHARS:
                self._by_length[len(key), key[0]].append(key)

    def with_columns(self, columns: Iterable[tuple[str, Column]]) -> "SchemaIndex":
        """The same index with more columns, by entity key: what they are called means nothing else in it."""
        more = list(columns)
        index = copy(self)
        index.model = replace(
            self.model,
            entities=tuple(
                replace(entity, columns=(*entity.columns, *(c for key, c in more if key == entity.key)))
                for entity in self.model.entities
            ),
        )
        index._names = dict(self._names)
        for key, column in more:
            for name in (column.name, *column.synonyms):
                target = Target("column", key, column.name, None, 1.0)
                index._names[key_of(split_identifier(name))] = (target,)
        return index

    def phrase(self, words: list[str] | tuple[str, ...]) -> tuple[Target, ...]:
        """Entities and columns that a phrase names exactly, up to plural and word boundaries."""
        return self._names.get(key_of([part for word in words for part in split_identifier(word)]), ())

    def named(self, key: str) -> tuple[Target, ...]:
        """As `phrase`, for a phrase that went through `key_of`."""
        return self._names.get(key, ())

    def value(self, text: str) -> tuple[Target, ...]:
        """Columns that hold a value, letter case and accents aside."""
        folded = fold(text)
        return self._values.get(folded) or self._values.get(_singular(folded), ())

    def longest_value(self, first_word: str) -> int:
        """Words of the longest value that begins with this folded word; 0 when none does."""
        return max(self._value_words.get(first_word, 0), self._value_words.get(stem(first_word), 0))

    def similar(self, word: str) -> tuple[Target, ...]:
        """What a word may stand for after one typing error or with another ending."""
        lower = stem(word)
        if len(lower) < _MIN_TYPO_CHARS:
            return self._related(lower)
        by_root = self._roots.get(root(lower), ())
        if by_root:
            return tuple(_scaled(target, 0.75) for target in by_root)
        near = [
            key
            for size in (len(lower) - 1, len(lower), len(lower) + 1)
            for key in self._by_length.get((size, lower[0]), ())
            if within_one_edit(key, lower)
        ]
        if near:
            return tuple(_scaled(target, 0.7) for key in near for target in self._names[key])
        return self._related(lower)

    def _related(self, word: str) -> tuple[Target, ...]:
        """What words of about the same meaning stand for."""
        related = [target for other in RELATED_WORDS.get(word, ()) for target in self._names.get(other, ())]
        return tuple(sorted((_scaled(target, 0.75) for target in related), key=lambda t: -t.score))

    def _by_root(self) -> dict[str, tuple[Target, ...]]:
        roots: dict[str, list[Target]] = defaultdict(list)
        for entity in self.model.visible:
            for column in entity.visible:
                for word in split_identifier(column.name):
                    if word not in GENERIC_WORDS and len(word) > 3:
                        share = 1.0 / len(_own_words(entity, column) or ("",))
                        score = 0.5 + 0.4 * share
                        roots[root(word)].append(Target("column", entity.key, column.name, None, score))
            words = split_identifier(entity.table)
            roots[root(words[-1] if words else entity.name)].append(
                Target("entity", entity.key, None, None, 0.9)
            )
        return {key: tuple(sorted(found, key=lambda t: -t.score)) for key, found in roots.items()}


def link(question: str, index: SchemaIndex) -> Links:
    """Find the schema in a question. Longer phrases win over the shorter ones inside them."""
    tokens = tokenise(question)
    links = tuple(sorted(_find(tokens, index), key=lambda found: found.first))
    content = [i for i, token in enumerate(tokens) if is_content(token)]
    named = {i for found in links if found.targets[0].kind != "value" for i in range(found.first, found.last)}
    valued = {i for found in links if found.of("value") for i in range(found.first, found.last)}
    total = max(1, len(content))
    return Links(
        tokens=tokens,
        links=links,
        coverage=sum(i in named or i in valued for i in content) / total,
        name_coverage=sum(i in named for i in content) / total,
        value_coverage=sum(i in valued for i in content) / total,
    )


def is_content(token: Token) -> bool:
    return token.kind in ("word", "quoted") and not _is_stop(token)


def _find(tokens: tuple[Token, ...], index: SchemaIndex) -> list[Link]:
    taken: set[int] = set()
    found: list[Link] = []
    reach = [_reach(token, index) for token in tokens]
    stems = [_name_part(token) for token in tokens]
    for size in range(min(_MAX_VALUE_PHRASE, len(tokens)), 0, -1):
        for first in range(len(tokens) - size + 1):
            if reach[first] < size:
                continue
            span = range(first, first + size)
            if taken.intersection(span):
                continue
            targets = _targets(tokens[first : first + size], stems[first : first + size], index)
            if targets:
                found.append(Link(first, first + size, targets))
                taken.update(span)
    for position, token in enumerate(tokens):
        if position not in taken and token.kind == "word" and token.lower not in STOP_WORDS:
            targets = index.similar(token.text)
            if targets:
                found.append(Link(position, position + 1, targets))
    return found


def _name_part(token: Token) -> str:
    if token.kind == "word":
        return key_of(split_identifier(token.text))
    return token.text if token.kind == "number" else ""


def _reach(token: Token, index: SchemaIndex) -> int:
    """How many tokens a phrase that begins here can have."""
    if token.kind == "symbol":
        return 0
    if token.kind == "quoted":
        return 1
    longest = index.longest_value(fold(token.text).split(" ", 1)[0])
    return max(longest, _MAX_PHRASE if token.kind == "word" else 0)


def _targets(span: tuple[Token, ...], stems: list[str], index: SchemaIndex) -> tuple[Target, ...]:
    if len(span) == 1 and span[0].kind == "quoted":
        return index.value(span[0].text)
    if any(token.kind in ("quoted", "symbol") for token in span):
        return ()
    if _is_stop(span[0]) and (len(span) == 1 or _is_stop(span[-1])):
        return ()
    named: tuple[Target, ...] = ()
    if len(span) <= _MAX_PHRASE and all(stems) and span[0].kind == "word":
        named = index.named("".join(stems))
    values: tuple[Target, ...] = ()
    if len(span) == 1 and span[0].kind == "number":
        return named
    if index.longest_value(fold(span[0].text).split(" ", 1)[0]) >= len(span):
        values = index.value(" ".join(token.text for token in span))
    return (*named, *(_weighted(value, span) for value in values))


def _is_stop(token: Token) -> bool:
    """`US` and `IT` in capitals are no pronouns."""
    return token.lower in STOP_WORDS and not (token.text.isupper() and len(token.text) > 1)


def _weighted(target: Target, span: tuple[Token, ...]) -> Target:
    """A value in its stored letter case, or of several words, is surer than a common word."""
    exact = target.value == " ".join(token.text for token in span)
    sure = exact and any(char.isupper() or char.isdigit() for char in target.value or "")
    return _scaled(target, 0.95 if sure or len(span) > 1 else 0.7)


def _scaled(target: Target, factor: float) -> Target:
    return Target(target.kind, target.entity, target.column, target.value, target.score * factor)


def _entity_phrases(entity: Entity) -> list[tuple[str, float]]:
    words = split_identifier(entity.table)
    phrases = [(key_of(words), 1.0), (key_of(split_identifier(entity.name)), 1.0)]
    phrases += [(key_of(split_identifier(synonym)), 1.0) for synonym in entity.synonyms]
    for size in range(1, len(words)):
        # `wallet_transactions_daily` is asked for as `transactions` or `wallet transactions`.
        for start in range(len(words) - size + 1):
            part = words[start : start + size]
            if not set(part) <= GENERIC_WORDS and not {part[0], part[-1]} & STOP_WORDS:
                ends = start + size == len(words)
                phrases.append((key_of(part), (0.7 if ends else 0.5) + 0.2 * size / len(words)))
    return phrases


def _own_words(entity: Entity, column: Column) -> tuple[str, ...]:
    """Words of a column name that its table's name does not hold."""
    table = {stem(word) for word in split_identifier(entity.table)}
    words = split_identifier(column.name)
    return tuple(word for word in words if stem(word) not in table) or words


def _column_phrases(entity: Entity, column: Column) -> list[tuple[str, float]]:
    words = split_identifier(column.name)
    table = {stem(word) for word in split_identifier(entity.table)}
    phrases = [(key_of(words), 1.0)]
    phrases += [(key_of(split_identifier(synonym)), 1.0) for synonym in column.synonyms]
    for size in range(1, len(words)):
        for start in range(len(words) - size + 1):
            part = words[start : start + size]
            left_out = [*words[:start], *words[start + size :]]
            if {part[0], part[-1]} & STOP_WORDS - GENERIC_WORDS:
                continue
            score = _part_score(part, left_out, table)
            if score > 0:
                phrases.append((key_of(part), score))
    return phrases


def _part_score(part: tuple[str, ...], left_out: list[str], table: set[str]) -> float:
    """How well a part of a column's name stands for the column; 0 when it names the table or nothing."""
    if {stem(word) for word in part} <= table:
        return 0.0
    dropped_table = all(stem(word) in table for word in left_out)
    if set(part) <= GENERIC_WORDS:
        return (
            0.92
            if dropped_table
            else (0.45 if part[-1] in ("name", "date", "id", "code", "description") else 0.0)
        )
    if left_out == ["id"]:
        return 0.55
    if dropped_table:
        return 0.95
    cost = sum(0.05 if stem(w) in table else 0.1 if w in GENERIC_WORDS else 0.3 for w in left_out)
    return max(0.4, 0.95 - cost)


def _spoken_values(column: Column) -> list[tuple[str, str]]:
    """A value as it is, with separators as spaces, and by its label."""
    spoken = []
    for value in column.values:
        folded = fold(value)
        spoken.append((folded, value))
        plain = folded.replace("_", " ").replace("-", " ")
        if plain != folded:
            spoken.append((plain, value))
    spoken += [(fold(label), value) for value, label in column.labels.items()]
    return [(key, value) for key, value in spoken if key]


def _singular(folded: str) -> str:
    *before, last = folded.split() or [""]
    return " ".join((*before, stem(last)))


def _keep_best(
    found: dict[tuple[LinkKind, str, str | None], float], key: tuple[LinkKind, str, str | None], score: float
) -> None:
    found[key] = max(score, found.get(key, 0.0))


def _sorted_targets(found: dict[tuple[LinkKind, str, str | None], float]) -> tuple[Target, ...]:
    targets = [Target(kind, entity, column, None, score) for (kind, entity, column), score in found.items()]
    return tuple(sorted(targets, key=lambda target: -target.score))
