"""Whether what a model says of rows agrees with them: every number and name, and which belongs to which."""

import re
from collections.abc import Iterable, Sequence, Set
from decimal import Decimal, InvalidOperation

from contracts import Rows, Scalar
from workers.catalogue.words import word_set
from workers.generation import sentences
from workers.generation.prompt import Material
from workers.generation.rows_text import show
from workers.generation.terms import terms

_MARKER = re.compile(r"\s?\[\d{1,3}\]")
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:\s*(thousand|million|billion|k|m|bn)\b)?", re.I)
_SCALES = {"thousand": 3, "k": 3, "million": 6, "m": 6, "billion": 9, "bn": 9}
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DATE = re.compile(r"\b\d{4}-(0[1-9]|1[0-2])\b")
_NAME = re.compile(r"(?<![\w'\u2019])[A-Z][\w'\u2019-]*")
# Not `one`: it is a pronoun more often than a number.
_COUNTED = {"zero": Decimal(0)} | {
    word: Decimal(number)
    for number, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), 2
    )
}
# Words that begin a sentence and are no name.
_OPENERS = word_set(
    """according answer average based database found here however list maximum minimum neither no none number
    overall result results row rows sorry sum there therefore thus total unfortunately unknown yes"""
)


class RowsAgreement:
    """The values of the rows, read once, and what the question and the columns name besides."""

    def __init__(self, rows: Rows, *, question: str, beside: Iterable[str] = ()) -> None:
        self._rows = [tuple(show(value) for value in row) for row in rows.rows]
        texts = [question, " ".join(rows.columns).replace("_", " "), rows.statement or "", *beside]
        self._known = {term for text in texts for term in terms(text)}
        self._known |= {term for row in self._rows for cell in row for term in terms(cell)}
        self._months = {_month(cell) for row in self._rows for cell in row} | _months_in(" ".join(texts))
        self._asked = {number for text in (question, *beside) for number in _numbers(text)}
        self._values = {number for row in rows.rows for value in row for number in _of_value(value)}
        self._values |= {Decimal(len(rows.rows))}
        self._of_row = [
            ({number for value in row for number in _of_value(value)}, _names_of(shown))
            for row, shown in zip(rows.rows, self._rows, strict=True)
        ]

    def holds(self, sentence: str) -> bool:
        plain = _MARKER.sub("", sentence)
        return self._names_hold(plain) and self._numbers_hold(plain) and self._pairs_hold(plain)

    def _names_hold(self, sentence: str) -> bool:
        names = {word for word in _NAME.findall(sentence) if word.lower() not in _OPENERS}
        held = all(term in self._known for name in names - set(_MONTHS) for term in terms(name))
        return held and _months_in(sentence) <= self._months

    def _numbers_hold(self, sentence: str) -> bool:
        counted = {_COUNTED[word] for word in sentence.lower().split() if word in _COUNTED}
        known = self._values | self._asked
        return all(_is_among(said, known) for said in (*_numbers(sentence), *counted))

    def _pairs_hold(self, sentence: str) -> bool:
        """A number that is said of one row's name stands in such a row."""
        said = [number for number in _numbers(sentence) if not _is_among(number, self._asked)]
        lower = sentence.lower()
        named = {name for _, names in self._of_row for name in names if _stands_in(name, lower)}
        if len(named) == len(said) > 1:
            in_order = sorted(named, key=lower.index)
            return all(self._together({name}, number) for name, number in zip(in_order, said, strict=True))
        return not named or all(self._together(named, number) or number == len(self._rows) for number in said)

    def _together(self, names: Set[str], number: Decimal) -> bool:
        return any(names & held and _is_among(number, values) for values, held in self._of_row)


class CheckedSentences:
    """A text that is still being written, given back sentence by sentence for as long as it agrees."""

    def __init__(self, agreement: RowsAgreement) -> None:
        self._agreement = agreement
        self._open = ""
        self.disagreed = False

    def feed(self, piece: str) -> str:
        self._open += piece
        whole = ""
        while not self.disagreed and (end := sentences.first_end(self._open)) is not None:
            whole += self._checked(self._open[:end])
            self._open = self._open[end:]
        return whole

    def finish(self) -> str:
        rest, self._open = self._open, ""
        return "" if self.disagreed else self._checked(rest)

    def _checked(self, sentence: str) -> str:
        self.disagreed = not self._agreement.holds(sentence)
        return "" if self.disagreed else sentence


def agreement_of(material: Material) -> RowsAgreement:
    assert material.rows is not None
    beside = [f"{source.title} {source.text}" for source in material.sources]
    return RowsAgreement(material.rows, question=material.question, beside=beside)


def _month(cell: str) -> str:
    found = _DATE.search(cell)
    return _MONTHS[int(found[1]) - 1] if found else ""


def _months_in(text: str) -> set[str]:
    return set(_NAME.findall(text)) & set(_MONTHS)


def _names_of(row: Sequence[str]) -> set[str]:
    """Its texts; a number, a date and a blank are no names."""
    return {cell.lower() for cell in row if cell and not any(char.isdigit() for char in cell)}


def _stands_in(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _numbers(text: str) -> list[Decimal]:
    found = []
    for match in _NUMBER.finditer(text):
        digits = match[0].rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ").replace(",", "")
        scale = _SCALES[match[1].lower()] if match[1] else 0
        found.append(Decimal(digits).scaleb(scale))
    return found


def _of_value(value: Scalar) -> list[Decimal]:
    """A number as it is; of a text, such as a date, the numbers in it."""
    if value is None or isinstance(value, bool):
        return []
    try:
        return [Decimal(show(value))]
    except InvalidOperation:
        return [abs(number) for number in _numbers(re.sub(r"(?<=\d)[-:/T]", " ", str(value)))]


def _is_among(said: Decimal, values: Set[Decimal]) -> bool:
    """Equal, or equal once rounded to as many places as were said; a share also as a percentage."""
    places = said.as_tuple().exponent
    step = Decimal(1).scaleb(int(places))
    return any(abs(value * factor - said) <= step / 2 for value in values for factor in (1, 100))
