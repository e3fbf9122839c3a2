"""Numbers with a unit: brought to the unit of the column that they are compared with.

`more than 500 grams` is 0.5 where weights are kept in kg. A unit that no column has stays in the question,
where it finds no place: 50 dollars are not compared with a price in euros.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from workers.catalogue.linking import SchemaIndex
from workers.catalogue.model import Column, Formula
from workers.sql.proposal import NoProposal, Proposal

# Factor to the first unit of each line.
_DIMENSIONS: tuple[dict[str, float], ...] = (
    {"g": 1, "mg": 0.001, "kg": 1_000, "lb": 453.592_37},
    {"m": 1, "mm": 0.001, "cm": 0.01, "km": 1_000, "miles": 1_609.344, "feet": 0.304_8, "inches": 0.025_4},
    {"seconds": 1, "milliseconds": 0.001, "minutes": 60, "hours": 3_600, "days": 86_400, "weeks": 604_800},
    {"USD": 1, "cents": 0.01},
    {"EUR": 1}, {"GBP": 1}, {"CHF": 1}, {"JPY": 1}, {"percent": 1}, {"bytes": 1}, {"kB": 1}, {"MB": 1},
    {"GB": 1}, {"m2": 1}, {"square feet": 1}, {"l": 1}, {"basis points": 1},
)  # fmt: skip
_SPOKEN = {
    "gram": "g", "kilogram": "kg", "kilo": "kg", "kgs": "kg", "milligram": "mg", "pound": "lb", "lbs": "lb",
    "metre": "m", "meter": "m", "millimetre": "mm", "millimeter": "mm", "centimetre": "cm",
    "centimeter": "cm", "kilometre": "km", "kilometer": "km", "kms": "km", "mile": "miles", "foot": "feet",
    "inch": "inches", "second": "seconds", "sec": "seconds", "millisecond": "milliseconds",
    "ms": "milliseconds", "minute": "minutes", "min": "minutes", "mins": "minutes", "hour": "hours",
    "hr": "hours", "hrs": "hours", "day": "days", "week": "weeks", "dollar": "USD", "usd": "USD", "$": "USD",
    "cent": "cents", "euro": "EUR", "eur": "EUR", "€": "EUR", "£": "GBP", "gbp": "GBP", "franc": "CHF",
    "chf": "CHF", "yen": "JPY", "jpy": "JPY", "percentage": "percent", "%": "percent", "byte": "bytes",
    "kb": "kB", "mb": "MB", "gb": "GB", "liter": "l", "litre": "l",
}  # fmt: skip
_FIGURE = ""
"""Stands for a formula, which leaves no name in a statement."""
_KNOWN = {unit.lower(): unit for dimension in _DIMENSIONS for unit in dimension}
_QUANTITY = re.compile(
    r"(?<![\w.,/-])(?P<sign>[$€£])?(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"(?P<rest>\s*(?P<unit>%|[a-z]+\b)?)",
    re.IGNORECASE,
)
_COMPARED = re.compile(
    r"\b(?:than|over|under|above|below|exceed(?:s|ing)?|least|most|between|takes?|took|and|up to)\s+$",
    re.IGNORECASE,
)
# `in the last 2 hours` is a time, not the duration of anything; nor is `within 3 days of the order`.
_PERIOD = re.compile(r"\b(?:last|past|previous|next|recent|first|within|every|top)\s+$", re.IGNORECASE)
_AGO = re.compile(r"^\s+(?:ago|before|after|earlier|later|from now|old)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Measured:
    """A question whose quantities are plain numbers, and the columns that each may be compared with."""

    question: str
    columns: tuple[frozenset[str], ...] = ()

    def judge(self, proposal: Proposal | NoProposal) -> Proposal | NoProposal:
        """A quantity that the plan compares with another column has not been understood."""
        if isinstance(proposal, NoProposal):
            return proposal
        met = all(
            any(name == _FIGURE or f".{name} " in proposal.sql for name in names) for names in self.columns
        )
        return proposal if met else replace(proposal, confident=False)


def canonical(unit: str) -> str:
    """`euros`, `EUR`, `€` -> EUR; an unknown unit as it is, in lower case."""
    lower = unit.lower()
    for form in (lower, lower.removesuffix("s")):
        found = _SPOKEN.get(form) or _KNOWN.get(form)
        if found is not None:
            return found
    return lower


def measured(question: str, index: SchemaIndex, said: Sequence[Formula] = ()) -> Measured:
    """
    Args:
        said: formulas in the question; quantities of what they measure are brought to their unit.
    """
    figures = [Column(_FIGURE, "number", unit=formula.unit) for formula in said if formula.unit]
    kept = [column for entity in index.model.visible for column in entity.visible if column.unit]
    if not kept and not figures:
        return Measured(question)
    columns: list[frozenset[str]] = []

    def plain(match: re.Match[str]) -> str:
        spoken = match["sign"] or match["unit"] or ""
        before, after = question[: match.start()], question[match.end() :]
        if not spoken or _is_time(canonical(spoken), before, after):
            return match[0]
        # `kg` that names the column `weight_kg` says which column is meant.
        if match["unit"] and index.phrase([match["unit"]]):
            return match[0]
        number = float(match["number"].replace(",", ""))
        unit = canonical(spoken)
        found = _converted(number, unit, figures) or _converted(number, unit, kept)
        if found is None:
            return match[0]
        value, names = found
        columns.append(names)
        return f"{value:g}{match['rest'] if match['sign'] else ''}"

    text = _QUANTITY.sub(plain, question)
    return Measured(text, tuple(columns))


def _is_time(unit: str, before: str, after: str) -> bool:
    if unit not in _DIMENSIONS[2]:
        return False
    return bool(_PERIOD.search(before) or _AGO.match(after)) or _COMPARED.search(before) is None


def _converted(number: float, unit: str, kept: list[Column]) -> tuple[float, frozenset[str]] | None:
    """The number in the unit of the columns that measure the same; None where there are none or two units."""
    same = frozenset(column.name for column in kept if canonical(column.unit) == unit)
    if same:
        return number, same
    factors = next((dimension for dimension in _DIMENSIONS if unit in dimension), {})
    others = [column for column in kept if canonical(column.unit) in factors]
    units = {canonical(column.unit) for column in others}
    if len(units) != 1:
        return None
    value = number * factors[unit] / factors[units.pop()]
    return round(value, 9), frozenset(column.name for column in others)
