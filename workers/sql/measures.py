"""Aggregates, superlatives and limits: how many, average, highest, top 5, most recent."""

from dataclasses import dataclass, replace

from workers.catalogue.model import Column
from workers.catalogue.words import word_set
from workers.sql.comparisons import comparison_before
from workers.sql.dates import number_of
from workers.sql.plan import Measure
from workers.sql.reading import Mention, Reading
from workers.sql.resolution import ColumnRef, Resolver

_COUNT_PHRASES = (
    "how many", "the total number of", "total number of", "the number of", "number of", "numbers of",
    "the count of", "total count of", "count of", "count the number of", "count the", "count all", "count",
    "the amount of", "the quantity of",
)  # fmt: skip
_COUNT_STARTS = frozenset(phrase.split()[0] for phrase in _COUNT_PHRASES)
_EARNINGS = word_set("revenue revenues income earnings turnover takings sales money spend spending")
_MONEY = ("revenue", "sale_price", "total", "amount", "fare", "price", "cost", "fee")
_DISTINCT = word_set("different distinct unique")
_COUNT_FILLERS = word_set("the all of total different distinct unique other new these those total")
_FUNCTIONS = {
    "average": "avg", "mean": "avg", "avg": "avg", "total": "sum", "sum": "sum", "combined": "sum",
    "overall": "sum", "maximum": "max", "max": "max", "highest": "max", "largest": "max",
    "greatest": "max", "biggest": "max", "most": "max", "top": "max", "minimum": "min", "min": "min",
    "lowest": "min", "smallest": "min", "least": "min", "fewest": "min", "median": "median",
}  # fmt: skip
_AGGREGATE_FILLERS = word_set("the of all and or , total unit amount value for a")
MEASURING = (
    frozenset(" ".join(_COUNT_PHRASES).split()) | _COUNT_FILLERS | _AGGREGATE_FILLERS | frozenset(_FUNCTIONS)
)
# What an adjective measures, in words that columns are called by; the second part: whether more of it is
# meant.
ADJECTIVES: dict[str, tuple[tuple[str, ...], bool]] = {
    "expensive": (("price", "cost", "amount", "fee"), True), "cheap": (("price", "cost", "amount", "fee"),
    False), "cheapest": (("price", "cost", "amount", "fee"), False), "priciest": (("price", "cost"), True),
    "long": (("duration", "length", "milliseconds", "seconds", "minutes", "time", "runtime"), True),
    "longest": (("duration", "length", "milliseconds", "seconds", "minutes", "time", "runtime"), True),
    "shortest": (("duration", "length", "milliseconds", "seconds", "minutes", "time", "height"), False),
    "oldest": (("age", "birth", "dob", "founded", "year", "date"), True),
    "youngest": (("age", "birth", "dob"), False), "newest": (("date", "year", "created"), True),
    "latest": (("date", "year", "time", "created"), True), "recent": (("date", "year", "time", "created"),
    True), "recently": (("date", "year", "time", "created"), True),
    "earliest": (("date", "year", "time", "created"), False), "tallest": (("height",), True),
    "heaviest": (("weight",), True), "lightest": (("weight",), False), "fastest": (("speed", "time"),
    True), "slowest": (("speed", "time"), False), "richest": (("salary", "income"), True),
    "largest": (("size", "area", "population", "capacity", "amount", "total"), True),
    "biggest": (("size", "area", "population", "capacity", "amount", "total"), True),
    "smallest": (("size", "area", "population", "capacity", "amount", "total"), False),
    "busiest": (("count", "traffic"), True), "popular": (("popularity",), True),
}  # fmt: skip
VERB_MEASURES: dict[str, tuple[str, ...]] = {
    "earn": ("salary", "wage", "income", "pay"), "earns": ("salary", "wage", "income", "pay"),
    "earning": ("salary", "wage", "income", "pay"), "earned": ("salary", "wage", "income"),
    "paid": ("salary", "wage", "pay"), "make": ("salary", "income"), "makes": ("salary", "income"),
    "cost": ("price", "cost"), "costs": ("price", "cost"), "costing": ("price", "cost"),
    "priced": ("price", "cost"), "weigh": ("weight",), "weighs": ("weight",), "weighing": ("weight",),
    "older": ("age",), "younger": ("age",), "aged": ("age",), "longer": ("duration", "length"),
    "shorter": ("duration", "length"), "heavier": ("weight",),
    "cheaper": ("price", "cost"), "expensive": ("price", "cost"), "worth": ("price", "value"),
    "larger": ("area", "size", "capacity", "population"), "smaller": ("area", "size", "capacity",
    "population"), "bigger": ("area", "size", "capacity", "population"), "newer": ("date", "year"),
    "taller": ("height",), "faster": ("speed",), "lighter": ("weight",), "slower": ("speed",),
    "pricier": ("price", "cost"),
}  # fmt: skip


@dataclass(frozen=True)
class Superlative:
    """Order by a measure or column, keep the first `limit` rows."""

    first: int
    last: int
    descending: bool
    limit: int
    measure: Measure | None = None
    ref: ColumnRef | None = None
    frequency: bool = False
    """`most common`: order by how often the asked-for thing occurs."""


def find_counts(reading: Reading, resolver: Resolver) -> list[Measure]:
    """`how many X`, `number of X`, `count the X`."""
    found = []
    position = 0
    while position < len(reading.words):
        measure = _count_at(reading, resolver, position)
        if measure is None:
            position += 1
        else:
            found += [measure, *_also(reading, measure)]
            position = measure.last
    return found


def _also(reading: Reading, measure: Measure) -> list[Measure]:
    """The minimum of `minimum and maximum number of products`."""
    gap = 1 if reading.word(measure.first - 2) == "the" else 0
    words = reading.words[max(0, measure.first - 3 - gap) : measure.first]
    words = [word for word in words if word != "the"] if gap else words
    if measure.function not in ("min", "max", "avg") or len(words) < 3 or words[1] not in ("and", ","):
        return []
    other = _FUNCTIONS.get(words[0])
    if other is None:
        return []
    reading.explain([measure.first - 3 - gap])
    reading.used.add(measure.first - 3 - gap)
    return [Measure(measure.first, measure.last, other, ref=measure.ref)]


def _count_at(reading: Reading, resolver: Resolver, position: int) -> Measure | None:
    if reading.word(position) not in _COUNT_STARTS:
        return None
    phrase = next((p for p in _COUNT_PHRASES if _matches(reading, position, p)), None)
    if phrase is None:
        return None
    start = position + phrase.count(" ") + 1
    distinct = any(reading.word(here) in _DISTINCT for here in range(start, start + 3))
    mention = _counted(reading, start)
    if mention is None:
        return None
    reading.explain(range(position, start))
    if mention.kind == "entity":
        after = reading.at(mention.last)
        if after is not None and after.kind in ("id", "name") and distinct:
            reading.use(after)
        return Measure(position, mention.last, "count", entity=resolver.entity_of(mention))
    refs = resolver.columns_of(mention)
    if not refs:
        return None
    if resolver.column(refs[0]).role == "measure" and not distinct:
        return _value_measure(
            reading, position, phrase, Measure(position, mention.last, "value", ref=refs[0])
        )
    return Measure(position, mention.last, "count", ref=refs[0], distinct=distinct)


def _value_measure(reading: Reading, position: int, phrase: str, measure: Measure) -> Measure | None:
    """`number of citations` where a column holds that number; an aggregate if a word before asks for one."""
    if comparison_before(reading, position - 1) or comparison_before(reading, position - 2):
        return None
    if "total" in phrase:
        return replace(measure, function="sum")
    function = _FUNCTIONS.get(reading.word(position - 1), "value")
    back = position - 1 if reading.word(position - 2) == "the" else position
    chained = reading.word(back - 2) in ("and", ",") and reading.word(back - 3) in _FUNCTIONS
    if function not in ("avg", "sum", "median") and not (chained and function in ("min", "max")):
        return measure
    reading.explain([position - 1])
    reading.used.add(position - 1)
    return replace(measure, function=function)


def _matches(reading: Reading, position: int, phrase: str) -> bool:
    size = phrase.count(" ") + 1
    if reading.phrase(position, position + size) != phrase:
        return False
    inside = [reading.at(here) for here in range(position, position + size)]
    return all(mention is None or mention.kind != "column" for mention in inside)


def _counted(reading: Reading, start: int) -> Mention | None:
    """What is counted: the first table or column after a few adjectives."""
    for here in range(start, min(start + 5, len(reading.words))):
        mention = reading.at(here)
        if mention is not None and mention.kind in ("entity", "column") and not mention.weak:
            if mention.first < here:
                continue
            following = reading.at(mention.last)
            if (
                mention.kind == "column"
                and following is not None
                and following.kind == "entity"
                and here == start
            ):
                return following if reading.word(start) not in _DISTINCT else mention
            return mention
        if mention is None and reading.word(here) in (
            "of",
            "for",
            "with",
            "that",
            "who",
            ",",
            "?",
            "in",
            "there",
        ):
            return None if reading.word(here) != "of" else _counted(reading, here + 1)
    return None


def find_aggregates(reading: Reading, resolver: Resolver) -> list[Measure]:
    """`average X`, `total X`, `maximum and minimum X`; `highest` and `most` are looked at as superlatives."""
    found: list[Measure] = []
    for position, word in enumerate(reading.words):
        function = _FUNCTIONS.get(word)
        if function is None or position in reading.explained or word in ("most", "least", "top", "fewest"):
            continue
        if reading.at(position) is not None:
            continue
        mention = _measured(reading, resolver, position + 1)
        if mention is None:
            earned = _earned(reading, resolver, position, function)
            found += [earned] if earned is not None else []
            continue
        ref = measured_column(resolver, mention)
        if ref is None or (function in ("sum", "avg", "median") and resolver.column(ref).kind != "number"):
            continue
        found.append(Measure(position, mention.last, function, ref=ref))
    return found


def _earned(reading: Reading, resolver: Resolver, position: int, function: str) -> Measure | None:
    """`total revenue`: the money column of the table in question, where no column is called so.

    Which money a company means by it is never certain.
    """
    said = next((at for at in (position + 1, position + 2) if reading.word(at) in _EARNINGS), None)
    if said is None or function not in ("sum", "avg"):
        return None
    for key in dict.fromkeys((*resolver.mentioned(), resolver.focus)):
        column = column_called(resolver, key, _MONEY) if key else None
        if column is not None and column.kind == "number" and key and _has_references(resolver, key):
            reading.explain(range(position, said + 1))
            reading.used.update(range(position, said + 1))
            resolver.doubts += 1
            return Measure(position, said + 1, function, ref=ColumnRef(key, column.name))
    return None


def _has_references(resolver: Resolver, key: str) -> bool:
    """Whether its rows are events: sales and trips refer to what they are about, a price list does not."""
    return any(join.left == key for join in resolver.model.active_joins)


def _measured(reading: Reading, resolver: Resolver, start: int) -> Mention | None:
    for here in range(start, min(start + 8, len(reading.words))):
        mention = reading.at(here)
        if mention is not None:
            if mention.kind == "column" and not mention.weak and measured_column(resolver, mention):
                return mention
            if mention.kind != "entity":
                return None
            continue
        word = reading.word(here)
        if word not in _AGGREGATE_FILLERS and word not in _FUNCTIONS and word not in ("number", "wallet"):
            return None
        if word == "number":
            return None
    return None


def measured_column(resolver: Resolver, mention: Mention) -> ColumnRef | None:
    """The numeric or date column of a mention."""
    targets = [
        t
        for t in mention.of("column")
        if _is_measurable(resolver.column(ColumnRef(t.entity, t.column or "")))
    ]
    return resolver.column_of(targets, resolver.owners(mention)) if targets else None


def _is_measurable(column: Column) -> bool:
    return column.kind in ("number", "date", "timestamp") and column.role != "id"


def adjective_column(resolver: Resolver, word: str, entity: str | None) -> tuple[ColumnRef, bool] | None:
    """The column that an adjective such as `oldest` orders by, and whether descending."""
    if word not in ADJECTIVES or entity is None:
        return None
    names, more = ADJECTIVES[word]
    column = column_called(resolver, entity, names)
    if column is None:
        return None
    is_date = column.kind in ("date", "timestamp")
    # The oldest person has the earliest date of birth.
    backwards = is_date and word in ("oldest", "youngest")
    return ColumnRef(entity, column.name), more != backwards


def column_called(resolver: Resolver, entity: str, names: tuple[str, ...]) -> Column | None:
    """The first number or date column of the table with one of the words in its name."""
    usable = [column for column in resolver.entity(entity).visible if _is_measurable(column)]
    for name in names:
        for column in usable:
            if name in column.name.lower():
                return column
        if name == "date":
            dates = [column for column in usable if column.kind in ("date", "timestamp")]
            if dates:
                return dates[0]
    return None


def limit_at(reading: Reading, position: int) -> int | None:
    """A count of rows next to a superlative: `top 5`, `the 3 most`, `5 oldest`."""
    for here in (position + 1, position - 1):
        if 0 <= here < len(reading.tokens):
            number = number_of(reading.tokens[here])
            if isinstance(number, int) and 0 < number <= 1_000:
                reading.explain([here])
                reading.used.add(here)
                return number
    return None
