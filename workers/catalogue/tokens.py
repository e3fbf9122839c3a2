"""A question as tokens: words, numbers, quoted strings, dates, addresses."""

import re
from dataclasses import dataclass
from typing import Literal

from workers.catalogue.words import root, stem

TokenKind = Literal["word", "number", "quoted", "date", "symbol"]

_PATTERN = re.compile(
    r"""
    (?P<quoted>"[^"]+"|\u201c[^\u201d]+\u201d|\u00ab[^\u00bb]+\u00bb|\u2018[^\u2019]+\u2019
      |\u2019[^\u2019\s]+\u2019|(?<![\w])'(?:[^']|'(?=\w))+'(?!\w)|`[^`]+`)
  | (?P<date>\b\d{4}-\d{1,2}-\d{1,2}\b|\b\d{1,2}/\d{1,2}/\d{4}\b)
  | (?P<address>[\w.+-]+@[\w-]+\.[\w.-]*\w|https?://[^\s?]+)
  | (?P<number>(?<![\w.])[$€£]?-?\d{1,3}(?:,\d{3})+(?:\.\d+)?%?(?!\w)
      |(?<![\w.])[$€£]?-?\d+(?:\.\d+)?%?(?![\w]))
  | (?P<word>[^\W_]+(?:[_/&.+-][^\W_]+)*)
  | (?P<symbol>>=|<=|!=|<>|[,;:?!().<>=])
    """,
    re.VERBOSE | re.UNICODE,
)


@dataclass(frozen=True)
class Token:
    """`text` is as written, without quotes; `start` and `end` are offsets in the question."""

    text: str
    kind: TokenKind
    start: int
    end: int

    @property
    def lower(self) -> str:
        return self.text.lower()

    @property
    def stem(self) -> str:
        return stem(self.text)

    @property
    def root(self) -> str:
        return root(self.text)

    @property
    def number(self) -> float | int | None:
        """Value of a number token; a per cent sign and a currency sign are dropped."""
        if self.kind != "number":
            return None
        plain = self.text.strip("$€£%").replace(",", "")
        return float(plain) if "." in plain else int(plain)


def tokenise(question: str) -> tuple[Token, ...]:
    tokens: list[Token] = []
    for match in _PATTERN.finditer(_without_possessive(question)):
        group = match.lastgroup or "word"
        text = match.group()
        if group == "quoted":
            tokens.append(Token(text[1:-1].strip(), "quoted", match.start(), match.end()))
        elif group == "address":
            tokens.append(Token(text, "quoted", match.start(), match.end()))
        elif group == "word" and "-" in text and not any(char.isdigit() for char in text):
            tokens.extend(_parts(match))
        elif group == "word" and "_" in text:
            tokens.append(Token(text, "word", match.start(), match.end()))
        else:
            kind: TokenKind = group if group in ("word", "number", "date") else "symbol"  # type: ignore[assignment]
            tokens.append(Token(text, kind, match.start(), match.end()))
    return tuple(tokens)


def _parts(match: re.Match[str]) -> list[Token]:
    offset = match.start()
    return [
        Token(part.group(), "word", offset + part.start(), offset + part.end())
        for part in re.finditer(r"[^-]+", match.group())
    ]


def _without_possessive(question: str) -> str:
    """`the customer's name` -> `the customer   name`, offsets unchanged."""
    return re.sub(r"(?<=\w)['\u2019]s\b", "  ", question)
