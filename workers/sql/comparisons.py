"""Words that compare: more than, at least, contains, before."""

from typing import Literal

from workers.catalogue.words import word_set
from workers.sql.reading import Reading

Operator = Literal["=", "<>", ">", ">=", "<", "<=", "contains", "starts", "ends"]

_BEFORE: tuple[tuple[str, Operator], ...] = (
    ("greater than or equal to", ">="), ("more than or equal to", ">="), ("less than or equal to", "<="),
    ("smaller than or equal to", "<="), ("larger than or equal to", ">="), ("no less than", ">="),
    ("not less than", ">="), ("no fewer than", ">="), ("no more than", "<="), ("not more than", "<="),
    ("no greater than", "<="), ("at least", ">="), ("at most", "<="), ("a minimum of", ">="),
    ("a maximum of", "<="), ("on and above", ">="), ("on or after", ">="), ("on or before", "<="),
    ("up to", "<="), ("not equal to", "<>"), ("other than", "<>"), ("different from", "<>"),
    ("equal to", "="), ("equals", "="), ("exactly", "="), (">=", ">="), ("<=", "<="), ("!=", "<>"),
    ("<>", "<>"), (">", ">"), ("<", "<"), ("=", "="), ("less than", "<"), ("fewer than", "<"),
    ("lower than", "<"), ("smaller than", "<"), ("shorter than", "<"), ("cheaper than", "<"),
    ("younger than", "<"), ("lighter than", "<"), ("earlier than", "<"), ("prior to", "<"), ("under", "<"),
    ("below", "<"), ("before", "<"), ("until", "<="), ("since", ">="), ("after", ">"), ("over", ">"),
    ("above", ">"), ("exceeding", ">"), ("exceeds", ">"), ("exceed", ">"), ("beyond", ">"),
    ("costing more than", ">"), ("more than", ">"), ("greater than", ">"),
)  # fmt: skip
_AFTER: tuple[tuple[str, Operator], ...] = (
    ("or more", ">="), ("or after", ">="), ("or newer", ">="), ("or before", "<="),
    ("or above", ">="), ("or greater", ">="), ("or higher", ">="), ("or later", ">="),
    ("or older", ">="), ("and above", ">="), ("and more", ">="), ("or less", "<="), ("or fewer", "<="),
    ("or below", "<="), ("or lower", "<="), ("or earlier", "<="), ("and below", "<="),
)  # fmt: skip
_LAST_WORDS = frozenset(phrase.split()[-1] for phrase, _ in _BEFORE)
_PATTERNS: dict[str, Operator] = {
    "contain": "contains", "contains": "contains", "containing": "contains", "include": "contains",
    "includes": "contains", "including": "contains", "substring": "contains", "start": "starts",
    "starts": "starts", "starting": "starts", "begin": "starts", "begins": "starts", "beginning": "starts",
    "end": "ends", "ends": "ends", "ending": "ends",
}  # fmt: skip
PATTERN_FILLERS = word_set(
    "the a an letter letters word words substring string phrase character characters with in by"
)
_FLIPPED: dict[Operator, Operator] = {">": "<=", "<=": ">", "<": ">=", ">=": "<", "=": "<>", "<>": "="}


def comparison_before(reading: Reading, position: int) -> tuple[Operator, int] | None:
    """The comparison that ends right before `position`, and where it begins."""
    for phrase, operator in _BEFORE if reading.word(position - 1) in _LAST_WORDS else ():
        start = position - phrase.count(" ") - 1
        if start >= 0 and reading.phrase(start, position) == phrase:
            return operator, start
    if reading.word(position - 1) == "than" and reading.word(position - 2).endswith("er"):
        return ">", position - 2
    return None


def comparison_after(reading: Reading, position: int) -> tuple[Operator, int] | None:
    """The comparison that begins at `position` (`or more`), and where it ends."""
    for phrase, operator in _AFTER:
        end = position + phrase.count(" ") + 1
        if reading.phrase(position, end) == phrase:
            return operator, end
    return None


def pattern_before(reading: Reading, position: int) -> tuple[Operator, int] | None:
    """`contains the letter` before a text, and where it begins; also `with the letter`,
    `have ... in their`."""
    here, lettered = position - 1, False
    while here >= 0 and reading.word(here) in PATTERN_FILLERS:
        lettered = lettered or reading.word(here) in ("letter", "letters", "word", "substring", "phrase")
        here -= 1
    operator = _PATTERNS.get(reading.word(here))
    if operator is not None:
        return operator, here
    return ("contains", here + 1) if lettered else None
