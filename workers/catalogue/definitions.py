"""Definitions in what people wrote beside a schema: terms, codes of values, units.

`GPM = gross profit margin = (sale - cost) / cost` defines a term as a formula; `0 = user, 1 = merchant` says
what stored values are called; `weight_kg`, `price in euros` say what a number counts.
"""

import re

from workers.catalogue.model import Formula, Kind
from workers.catalogue.words import split_identifier, word_set

_SENTENCE = re.compile(r"(?<=[.;!])\s+(?=[A-Z0-9])|\n+")
_DEFINES = re.compile(
    r"^\W*(?:note:?\s+|where\s+|the\s+)?(?P<name>[A-Za-z][^=():,;]{1,60}?)(?:\s+\((?P<long>[^()=]{2,80})\))?\s*"
    r"(?:=|:=|\b(?:is|are) (?:defined|calculated|computed) as\b|\bstands for\b|\bis short for\b|\bmeans\b)\s*"
    r"(?P<body>\S.*?)[.;\s]*$"
)
_EQUALS = re.compile(r"(?<![<>!=:])=(?!=)")
_ARITHMETIC = re.compile(
    r"[\w)]\s*[/*]\s*[\w(]|\s[-+]\s|\bdivided by\b|\bratio of\b|\b(?:count|sum|avg)\s*\(", re.I
)
_ACRONYM = re.compile(r"^[A-Z][A-Za-z0-9%&]{1,7}$")
_CODE = re.compile(
    r"(?:^|[\s(,;:])(?P<q>['\"]?)(?P<code>\d{1,4}|[A-Z]{1,3})(?P=q)\s*"
    r"(?:=|:|->|means|is)\s*(?P<said>[A-Za-z][\w /-]{1,40})"
)
_MAX_NAME_WORDS = 5

_UNIT_WORDS = {
    "usd": "USD", "eur": "EUR", "euro": "EUR", "gbp": "GBP", "chf": "CHF", "jpy": "JPY", "cents": "cents",
    "pct": "percent", "percent": "percent", "percentage": "percent", "kg": "kg", "kgs": "kg", "grams": "g",
    "lb": "lb", "lbs": "lb", "mg": "mg", "km": "km", "kms": "km", "cm": "cm", "mm": "mm", "miles": "miles",
    "meters": "m", "metres": "m", "feet": "feet", "inches": "inches", "ms": "milliseconds",
    "millis": "milliseconds", "milliseconds": "milliseconds", "sec": "seconds", "secs": "seconds",
    "seconds": "seconds", "minutes": "minutes", "mins": "minutes", "hours": "hours", "hrs": "hours",
    "days": "days", "weeks": "weeks", "months": "months", "bytes": "bytes", "kb": "kB", "mb": "MB",
    "gb": "GB",
    "sqm": "m2", "sqft": "square feet", "liters": "l", "litres": "l", "celsius": "degrees Celsius",
    "fahrenheit": "degrees Fahrenheit", "bps": "basis points",
}  # fmt: skip
_MORE_UNITS = word_set(
    """dollar pound franc yen gram kilogram milligram meter metre kilometer kilometre centimeter centimetre
    millimeter millimetre mile foot inch second minute hour day week byte tonne ton litre liter
    percent degree watt kwh mwh hz mbps knots"""
)
_SAID_UNIT = re.compile(
    r"\b(?:(?P<outright>units?:|measured in|expressed in)|in)\s+(?P<unit>[a-z%$€£]+)", re.IGNORECASE
)
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "%": "percent"}


def find_definitions(text: str, *, table: str = "") -> list[Formula]:
    """Terms that a comment or an instruction defines by arithmetic, or acronyms that it spells out."""
    found = []
    for sentence in _SENTENCE.split(text):
        match = _DEFINES.match(" ".join(sentence.split()))
        if match is not None:
            found += _formula(match, table)
    return found


def _formula(match: re.Match[str], table: str) -> list[Formula]:
    *between, body = (part.strip(" .;") for part in _EQUALS.split(match["body"]))
    names = [match["name"].strip(), *([match["long"].strip()] if match["long"] else []), *between]
    arithmetic = _ARITHMETIC.search(body) is not None
    if not body or any(len(name.split()) > _MAX_NAME_WORDS for name in names[:1]):
        return []
    if not arithmetic and _ACRONYM.match(names[0]) is None:
        return []
    spoken = [name for name in names[1:] if re.fullmatch(r"[\w &%-]+", name)]
    return [Formula(names[0], words=body, synonyms=tuple(spoken), table=table)]


def find_labels(description: str) -> dict[str, str]:
    """`0 = user, 1 = merchant`: at least two codes make a list of them."""
    found = {match["code"]: match["said"].strip() for match in _CODE.finditer(description)}
    return found if len(found) > 1 else {}


def find_unit(name: str, description: str, kind: Kind) -> str:
    """What a number counts, by the comment or the last word of its name; empty when neither says."""
    if kind != "number":
        return ""
    for said in _SAID_UNIT.finditer(description):
        word = said["unit"]
        # `seats in economy` names no unit; `unit: seats` does.
        if said["outright"] or word in _SIGNS or _is_unit(word.lower()):
            return _SIGNS.get(word, _UNIT_WORDS.get(word.lower(), word))
    words = split_identifier(name)
    # A lone `days` or `minutes` is what is counted; `price_usd` says in what.
    return next((_UNIT_WORDS[word] for word in reversed(words[1:]) if word in _UNIT_WORDS), "")


def _is_unit(word: str) -> bool:
    return not {word, word.removesuffix("s")}.isdisjoint((*_UNIT_WORDS, *_MORE_UNITS))


def find_synonyms(name: str, description: str) -> tuple[str, ...]:
    """`vin` -- Vehicle Identification Number: what a short name is the initials of."""
    phrase = re.match(r"^\W*([A-Za-z]+(?: [A-Za-z]+){1,5})\b", description)
    if phrase is None:
        return ()
    words = phrase[1].split()
    for part in split_identifier(name):
        for size in range(len(words), 1, -1):
            initials = "".join(word[0].lower() for word in words[:size])
            if len(part) > 1 and part == initials:
                return (" ".join(words[:size]).lower(),)
    return ()
