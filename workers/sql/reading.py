"""A question as the planner reads it: its tokens, what they may mean, and which of them are explained."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from workers.catalogue.linking import Link, SchemaIndex, Target, link
from workers.catalogue.tokens import Token
from workers.catalogue.words import root, word_set

MentionKind = Literal["entity", "column", "value", "name", "id", "all", "date"]

_COORDINATED = re.compile(r"\b([a-z_]+)(, ([a-z_]+),?)? and ([a-z_]+) ([a-z_]+)\b", re.IGNORECASE)
_NUMBERED = re.compile(r"\b((?:[a-z]+ )?[a-z]+) (\d) and (\d)\b", re.IGNORECASE)
_SPELLED_OUT = re.compile(
    r"\b(?:full |\w+ )?names?\s*\(\s*first\s+(?:names?\s+)?and\s+last(?:\s+names?)?\s*\)", re.IGNORECASE
)
# Words that ask, connect or describe what rows do anyway; they carry no condition of their own.
SOFT_WORDS = word_set(
    """show shows list lists give gives find finds display displays return returns calculate compute tell
    count select get gets got see know want name named called different distinct unique exact full complete
    result results set table tables row rows belong belongs belonging live lives living work works working
    located locate contain contains having exist exists existing registered recorded made make makes making
    received receive receives receiving associated related involved correspond corresponds present presented
    appear appears used use uses overall currently presently actually ever before respectively whole entire
    most available kept held hold holds own owned there's including include following given based order
    ordered sorted year years date dates today inclusive per by split grouped group top first last people
    person someone anyone one ones kind kinds sort type well along together alongside across among within
    during since until value values amount level have has had return lists come comes came happen happened
    take taken took assigned assign go goes ask placed filed released issued submitted performed handled
    done published member members"""
)
_ALL_WORDS = word_set("information info details detail everything fields attributes")
_DATE_WORDS = word_set("date dates")
_NAME_WORDS = word_set("name names fullname")
_ID_WORDS = word_set("id ids identifier identifiers")
# Verb forms name what happens, not what is wanted: "problems reported by" is no wish for the reporting date.
_AGGREGATES = word_set("minimum maximum min max average avg total")
_VERB_ENDINGS = ("ed", "ing")
PARTICIPLES = word_set("""bought made sold sent held won paid built sung led run done got shot spent kept met
    left lost given taken written""")
_NAME_SCORE = 0.05
_FAINT = 0.56
_SURE = 0.8


@dataclass(frozen=True)
class Mention:
    """Tokens `first` to `last` (exclusive) that stand for something of the schema."""

    first: int
    last: int
    kind: MentionKind
    targets: tuple[Target, ...] = ()
    weak: bool = False

    def of(self, kind: str) -> tuple[Target, ...]:
        return tuple(target for target in self.targets if target.kind == kind)


class Reading:
    """Working state of one question: mentions in order, and the positions that are explained so far."""

    def __init__(self, question: str, index: SchemaIndex) -> None:
        self.question = prepared(question, index)
        links = link(self.question, index)
        self.tokens: tuple[Token, ...] = links.tokens
        self.words = [token.lower for token in self.tokens]
        self.roots = frozenset(root(word) for word in self.words if len(word) > 2)
        self.mentions = list(_mentions(self.tokens, links.links, index))
        self.explained: set[int] = set()
        self.used: set[int] = set()

    def word(self, position: int) -> str:
        return self.words[position] if 0 <= position < len(self.words) else ""

    def phrase(self, first: int, last: int) -> str:
        return " ".join(self.words[max(0, first) : last])

    def explain(self, positions: Iterable[int]) -> None:
        self.explained.update(positions)

    def use(self, mention: Mention) -> None:
        """The mention has its place in the plan: nothing else may take it."""
        self.used.update(range(mention.first, mention.last))
        self.explain(range(mention.first, mention.last))

    def is_used(self, mention: Mention) -> bool:
        return any(position in self.used for position in range(mention.first, mention.last))

    def at(self, position: int) -> Mention | None:
        return next((m for m in self.mentions if m.first <= position < m.last), None)

    def free(self, *kinds: MentionKind) -> list[Mention]:
        return [m for m in self.mentions if not self.is_used(m) and (not kinds or m.kind in kinds)]

    def next_mention(
        self, position: int, bridge: frozenset[str], *, kinds: tuple[MentionKind, ...] = (), reach: int = 8
    ) -> Mention | None:
        """The first mention from `position` on with nothing but bridge words before it."""
        for here in range(position, min(position + reach, len(self.tokens))):
            mention = self.at(here)
            if mention is not None and (not kinds or mention.kind in kinds):
                return mention
            if self.word(here) not in bridge:
                return None
        return None

    def previous_mention(
        self, position: int, bridge: frozenset[str], *, kinds: tuple[MentionKind, ...] = (), reach: int = 8
    ) -> Mention | None:
        """The last mention that ends before `position` with nothing but bridge words after it."""
        for here in range(position - 1, max(position - 1 - reach, -1), -1):
            mention = self.at(here)
            if mention is not None and (not kinds or mention.kind in kinds):
                return mention
            if self.word(here) not in bridge:
                return None
        return None

    def find(self, *phrases: str, start: int = 0) -> tuple[int, int] | None:
        """First place of any of the phrases, as positions."""
        for position in range(start, len(self.words)):
            for wanted in phrases:
                parts = wanted.split()
                if self.words[position : position + len(parts)] == parts:
                    return position, position + len(parts)
        return None


def prepared(question: str, index: SchemaIndex) -> str:
    """Spell out what is said once for several: `first and last name` -> `first name and last name`."""
    text = question.replace("(s)he", "he").replace("he/she", "he")
    text = _SPELLED_OUT.sub("first name and last name", text)
    text = _NUMBERED.sub(r"\1 \2 and \1 \3", text)
    text = re.sub(r"^\s*ho\w many\b", "How many", text, flags=re.IGNORECASE)
    return _COORDINATED.sub(lambda match: _distributed(match, index), text)


def _distributed(match: re.Match[str], index: SchemaIndex) -> str:
    """Repeat the shared last word where that makes both halves names of columns."""
    first, _, _, second, shared = match.groups()
    if not _is_column(index, first, shared) or not _is_column(index, second, shared):
        return match.group()
    if any(target.score > 0.9 for target in index.phrase([first])):
        return match.group()
    return (
        match.group()
        .replace(f"{first} ", f"{first} {shared} ", 1)
        .replace(f"{first},", f"{first} {shared},", 1)
    )


def _is_column(index: SchemaIndex, first: str, second: str) -> bool:
    return any(target.kind == "column" and target.score >= 0.9 for target in index.phrase([first, second]))


def _mentions(tokens: tuple[Token, ...], links: tuple[Link, ...], index: SchemaIndex) -> Iterable[Mention]:
    links = tuple(part for item in links for part in _without_verb(tokens, item, index))
    kept = (_without_aggregate(tokens, item, links, index) for item in links)
    links = tuple(item for item in kept if item is not None)
    linked = {position for found in links for position in range(found.first, found.last)}
    plain = [_generic(position, token) for position, token in enumerate(tokens) if position not in linked]
    found = [mention for item in links if (mention := _mention(tokens, item)) is not None]
    found += [mention for mention in plain if mention is not None]
    return _merged(tokens, sorted(found, key=lambda mention: mention.first))


def _without_verb(tokens: tuple[Token, ...], item: Link, index: SchemaIndex) -> tuple[Link, ...]:
    """`problems reported`: a table and what happened to it, not the column `problem_reported`."""
    last = item.last - 1
    if item.last - item.first < 2 or not tokens[last].lower.endswith(_VERB_ENDINGS) or item.score >= 1.0:
        return (item,)
    noun = index.phrase([token.text for token in tokens[item.first : last]])
    if not noun or noun[0].kind != "entity":
        return (item,)
    verb = index.phrase([tokens[last].text]) or index.similar(tokens[last].text)
    return (Link(item.first, last, noun), *((Link(last, item.last, verb),) if verb else ()))


def _without_aggregate(
    tokens: tuple[Token, ...], item: Link, links: tuple[Link, ...], index: SchemaIndex
) -> Link | None:
    """`minimum salary` is a column only where its table is in question; else it is the least salary."""
    if tokens[item.first].lower not in _AGGREGATES:
        return item
    named = {target.entity for other in links if other is not item for target in other.of("entity")}
    if any(target.entity in named for target in item.of("column")):
        return item
    if item.last - item.first == 1:
        return Link(item.first, item.last, item.of("value")) if item.of("value") else None
    rest = index.phrase([token.text for token in tokens[item.first + 1 : item.last]])
    return Link(item.first + 1, item.last, rest) if rest else item


def _merged(tokens: tuple[Token, ...], mentions: list[Mention]) -> list[Mention]:
    """`department number`, `artist name`: the key or the name of the table before it, in one mention."""
    merged: list[Mention] = []
    for mention in mentions:
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.kind == "entity"
            and mention.kind in ("name", "id")
            and last.last == mention.first
        ):
            merged[-1] = Mention(last.first, mention.last, mention.kind, last.of("entity"))
        else:
            merged.append(mention)
    return [_with_number(tokens, mention) for mention in merged]


def _with_number(tokens: tuple[Token, ...], mention: Mention) -> Mention:
    """`phone number` where the column is called `phone`; `department numbers` are the departments' keys."""
    after = mention.last
    if after >= len(tokens) or tokens[after].lower not in ("number", "numbers", "no"):
        return mention
    of = after + 1 < len(tokens) and tokens[after + 1].lower == "of"
    if mention.kind == "column":
        return Mention(mention.first, after + 1, "column", mention.targets, mention.weak)
    return (
        mention
        if of or mention.kind != "entity"
        else Mention(mention.first, after + 1, "id", mention.of("entity"))
    )


def _generic(position: int, token: Token) -> Mention | None:
    if token.kind != "word":
        return None
    for words, kind in (
        (_NAME_WORDS, "name"),
        (_ID_WORDS, "id"),
        (_ALL_WORDS, "all"),
        (_DATE_WORDS, "date"),
    ):
        if token.lower in words:
            return Mention(position, position + 1, kind)  # type: ignore[arg-type]
    return None


def _mention(tokens: tuple[Token, ...], found: Link) -> Mention | None:
    if found.last - found.first == 1:
        generic = _generic(found.first, tokens[found.first])
        if generic is not None:
            return Mention(found.first, found.last, generic.kind, found.targets)
    best: dict[str, float] = {}
    for target in found.targets:
        best[target.kind] = max(best.get(target.kind, 0.0), target.score)
    word = tokens[found.first].text
    if found.last - found.first == 1 and word in SOFT_WORDS and set(best) == {"value"}:
        return None
    loose = max(best.values()) < _SURE and "entity" in best
    if found.last - found.first == 1 and word.lower() in SOFT_WORDS and loose:
        return None
    kind = _kind(tokens, found, best)
    word = tokens[found.last - 1].lower
    done = word.endswith(_VERB_ENDINGS) or word in PARTICIPLES
    verb = kind == "column" and done and best.get(kind, 0.0) < 1.0
    pointed = found.first > 0 and tokens[found.first - 1].lower in ("that", "this", "same")
    faint = kind == "column" and best.get(kind, 0.0) < _FAINT
    return Mention(found.first, found.last, kind, found.targets, weak=verb or pointed or faint)


def _kind(tokens: tuple[Token, ...], found: Link, best: dict[str, float]) -> MentionKind:
    named = max(best.get("entity", 0.0), best.get("column", 0.0))
    # A capital inside the sentence makes a proper name of a word that is also a name of the schema.
    capital = found.first > 0 and tokens[found.first].text[:1].isupper()
    if best.get("value", 0.0) >= (0.6 if capital else 0.9) and (named < 0.9 or capital):
        return "value"
    if not named:
        return "value"
    return "entity" if best.get("entity", 0.0) + _NAME_SCORE >= best.get("column", 0.0) else "column"
