"""Sorting and grouping: `ordered by`, `in descending order`, `for each`, `per month`."""

from dataclasses import dataclass

from workers.catalogue.words import word_set
from workers.sql.dates import Unit, bucket_of
from workers.sql.measures import ADJECTIVES, adjective_column
from workers.sql.plan import Measure
from workers.sql.reading import PARTICIPLES, Mention, Reading
from workers.sql.resolution import ColumnRef, Resolver

_SORT_WORDS = word_set(
    "sorted ordered order sort arranged arrange ranked rank listed sorting ordering starting alphabetical "
    "ascending descending increasing decreasing lexicographic lexicographical chronological alphabetically "
    "reverse"
)
_DESCENDING = word_set(
    "descending decreasing desc reverse reversed largest highest newest latest longest most"
)
_ORDER_FILLERS = word_set(
    "by in of the order and , ascending descending from to a their its increasing decreasing result"
)
_GROUP_PHRASES = (
    "for each of the", "for each", "for every", "in each", "in every", "by each", "of each", "on each",
    "at each",
    "to each", "from each", "per", "grouped by", "group by", "split by", "broken down by", "across each",
    "each", "every",
)  # fmt: skip
_GROUP_STARTS = frozenset(phrase.split()[0] for phrase in _GROUP_PHRASES)
_GROUP_FILLERS = word_set("the of a an different distinct customer's")


@dataclass(frozen=True)
class Order:
    first: int
    last: int
    descending: bool
    ref: ColumnRef | None = None
    measure: Measure | None = None


@dataclass(frozen=True)
class Group:
    """Rows are put together by a column, by a table's row, or by a unit of time."""

    first: int
    last: int
    refs: tuple[ColumnRef, ...] = ()
    entity: str | None = None
    unit: Unit | None = None


def find_orders(reading: Reading, resolver: Resolver, measures: list[Measure]) -> list[Order]:
    start = _sort_start(reading)
    if start is None:
        return []
    end = _sort_end(reading, start)
    words = reading.words[start:end]
    descending = _is_descending(words)
    aged = {"oldest", "youngest"} & set(words)
    orders: list[Order] = []
    taken: set[int] = set()
    for measure in measures:
        if start <= measure.first < end:
            orders.append(Order(start, end, descending, measure=measure, ref=measure.ref))
            taken.update(range(measure.first, measure.last))
    for mention in reading.mentions:
        if (
            not start <= mention.first < end
            or mention.first in taken
            or mention.kind not in ("column", "name", "id")
        ):
            continue
        for ref in resolver.columns_of(mention)[:1]:
            # The oldest have the earliest dates and the highest ages.
            dated = resolver.column(ref).kind in ("date", "timestamp")
            down = (
                (words.index("oldest") < words.index("youngest")) != dated if len(aged) == 2 else descending
            )
            orders.append(Order(start, end, down, ref=ref))
    orders = orders or _by_adjective(words, resolver, start, end)
    reading.explain(range(start, end))
    reading.used.update(range(start, end))
    return orders or [Order(start, end, descending)]


def _by_adjective(words: list[str], resolver: Resolver, start: int, end: int) -> list[Order]:
    """`from the heaviest to the lightest`: the first adjective says by what, and what comes first."""
    for word in words:
        found = adjective_column(resolver, word, resolver.focus)
        if found is not None:
            return [Order(start, end, found[1], ref=found[0])]
    return []


def sort_span(reading: Reading) -> range:
    """The words that say how rows are sorted."""
    start = _sort_start(reading)
    return range(0) if start is None else range(start, _sort_end(reading, start))


def _sort_start(reading: Reading) -> int | None:
    for position, word in enumerate(reading.words):
        if word == "from" and _is_ladder(reading, position):
            return position
        if word in _SORT_WORDS and reading.at(position) is None:
            begins = position
            while reading.word(begins - 1) in ("in", "and", "listed", "sorted", "ordered", "arranged", "the"):
                begins -= 1
            if word in ("order", "sort", "rank", "starting", "listed") and not _sorts(reading, position):
                by = next((at for at in range(position + 1, position + 7) if reading.word(at) == "by"), None)
                if word in ("order", "sort", "rank") and position == 0 and by is not None:
                    reading.explain([position])
                    return by
                continue
            return begins
    return None


def _is_ladder(reading: Reading, position: int) -> bool:
    """`from the heaviest to the lightest`."""
    words = [
        word for word in reading.words[position + 1 : position + 8] if word not in ("the", "most", "least")
    ]
    return len(words) > 2 and words[0] in ADJECTIVES and words[1] == "to" and words[2] in ADJECTIVES


def _sorts(reading: Reading, position: int) -> bool:
    return reading.word(position + 1) in ("by", "the", "them", "all", "in", "from")


def _sort_end(reading: Reading, start: int) -> int:
    """To the end of the sentence, or to where something else is asked for."""
    for position in range(start + 1, len(reading.words)):
        word = reading.word(position)
        if word in (".", "?", ";", "!"):
            return position
        if word in ("for", "that", "who", "which", "whose", "where", "with") and position > start + 2:
            return position
    return len(reading.words)


def _is_descending(words: list[str]) -> bool:
    if "to" in words:
        start = words[words.index("to") - 1]
        if start in _DESCENDING or start in ("recent", "expensive", "high", "large", "top"):
            return True
    return bool({"descending", "decreasing", "desc", "reverse"} & set(words))


def find_groups(reading: Reading, resolver: Resolver, *, aggregated: bool) -> list[Group]:
    groups: list[Group] = []
    position = 0
    while position < len(reading.words):
        group = _group_at(reading, resolver, position, aggregated=aggregated)
        if group is None:
            position += 1
        else:
            groups.append(group)
            position = max(group.last, position + 1)
    return groups


def _group_at(reading: Reading, resolver: Resolver, position: int, *, aggregated: bool) -> Group | None:
    if position in reading.used:
        return None
    word = reading.word(position)
    unit = bucket_of(word) if word.endswith("ly") or word == "annual" else None
    if unit is not None and aggregated and reading.at(position) is None:
        reading.explain([position])
        return Group(position, position + 1, unit=unit)
    starts = _GROUP_PHRASES if word in _GROUP_STARTS else ()
    phrase = next((p for p in starts if reading.phrase(position, position + p.count(" ") + 1) == p), None)
    if phrase is None and word == "by" and aggregated and _may_group(reading, position):
        phrase = "by"
    if phrase is None:
        return None
    start = position + phrase.count(" ") + 1
    return _grouped(reading, resolver, position, start, phrase, aggregated=aggregated)


def _may_group(reading: Reading, position: int) -> bool:
    """`revenue by country`, not `written by`."""
    before = reading.word(position - 1)
    return not (before.endswith(("ed", "en")) or before in PARTICIPLES) or before == "grouped"


def _grouped(
    reading: Reading, resolver: Resolver, position: int, start: int, phrase: str, *, aggregated: bool
) -> Group | None:
    while reading.word(start) in _GROUP_FILLERS:
        start += 1
    unit = bucket_of(reading.word(start))
    mention = reading.at(start)
    if unit is not None and aggregated and (mention is None or mention.kind != "column"):
        reading.explain(range(position, start + 1))
        reading.used.update(range(position, start + 1))
        return Group(position, start + 1, unit=unit)
    if phrase == "by" and mention is not None and _names_one(reading, mention):
        return None
    if mention is None or mention.first != start or mention.kind not in ("entity", "column"):
        if phrase in ("each", "every"):
            reading.explain([position])
        return None
    reading.explain(range(position, start))
    if not aggregated:
        return None
    return _by_mention(reading, resolver, position, mention)


def _names_one(reading: Reading, mention: Mention) -> bool:
    """`by the artist "Metallica"`: one artist, not each."""
    after = reading.at(mention.last)
    quoted = mention.last < len(reading.tokens) and reading.tokens[mention.last].kind in ("quoted", "number")
    named = reading.word(mention.last) in ("named", "called", "with", "whose")
    return quoted or named or (after is not None and after.kind == "value")


def _by_mention(reading: Reading, resolver: Resolver, position: int, mention: Mention) -> Group | None:
    following = reading.at(mention.last)
    reading.use(mention)
    if mention.kind == "entity":
        if following is not None and following.kind in ("column", "name", "id"):
            refs = resolver.columns_of(following)
            if refs:
                reading.use(following)
                return Group(position, following.last, refs=refs)
        return Group(position, mention.last, entity=resolver.entity_of(mention))
    columns = list(resolver.columns_of(mention))
    last = mention.last
    while reading.word(last) in ("and", ","):
        more = reading.at(last + 1)
        if more is None or more.kind != "column":
            break
        columns += resolver.columns_of(more)
        reading.use(more)
        last = more.last
    return Group(position, last, refs=tuple(columns))
