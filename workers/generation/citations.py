"""Citations in a text that is still being written.

A marker that resolves to no source is left out, and so is one whose source holds too little of the sentence;
a sentence without a marker gets that of the source that carries it. Both are decided before the text leaves,
so the text of the deltas is the text of the answer. What is held back meanwhile: an open bracket, an end
mark, white space.
"""

import re
from collections.abc import Mapping

from workers.generation.sentences import is_end
from workers.generation.support import Support
from workers.generation.terms import terms

_ENDS = frozenset(".!?\u2026\u3002\uff01\uff1f")
_ENDS_WITHOUT_SPACE = frozenset("\u3002\uff01\uff1f")
_CLOSERS = frozenset("\"')\u201d\u2019")
_IN_MARKER = frozenset("0123456789, ")
_LONGEST_MARKER = 16
# Runs of letters and digits decide nothing and pass at once; any other character is looked at alone.
_PARTS = re.compile(r"[^\W_]+|.", re.DOTALL)
_NUMBER = re.compile(r"\d+")
_CITED = re.compile(r"\[(\d{1,3})\]")


def as_written(published: str, numbers: Mapping[int, int]) -> str:
    """A published text with the numbers that the model wrote, given what each of those stands for."""
    back = {number: shown for shown, number in numbers.items()}
    parts = published.split("`")  # every second part is code, which is published as it came
    parts[::2] = [_CITED.sub(lambda cited: _number(cited, back), part) for part in parts[::2]]
    return "`".join(parts)


def _number(cited: re.Match[str], back: Mapping[int, int]) -> str:
    number = int(cited[1])
    return f"[{back.get(number, number)}]"


class CitedText:
    """Takes a model's text piece by piece and gives it back with citations that resolve.

    With `published`, the text that an earlier attempt has given back, it goes on as that one would have.
    `numbers` says which source each number in the model's text stands for; by default each for itself.
    """

    def __init__(
        self, support: Support, *, published: str = "", numbers: Mapping[int, int] | None = None
    ) -> None:
        self._support = support
        self._numbers: Mapping[int, int] = {source.number: source.number for source in support.sources}
        self._used: set[int] = set()
        self._out: list[str] = []
        self._sentence = ""
        self._cited: set[int] = set()
        self._end = ""
        self._space = ""
        self._bracket = ""
        self._code = False
        self._adding = False
        self.unsupported: list[str] = []
        self.supported = 0
        self._take(published)
        self._settle()
        self._adding = True
        self._numbers = numbers or self._numbers

    def _settle(self) -> None:
        """Whatever stands at the end of a published text is decided already."""
        if self._bracket:
            self._text(self._bracket)
            self._bracket = ""
        elif self._end or self._space:
            self._flush(final=True)
        self._out.clear()

    def feed(self, piece: str) -> str:
        self._take(piece)
        return self._drain()

    def held(self) -> str:
        """Text taken that is not decided yet."""
        return f"{self._end}{self._space}{self._bracket}"

    def finish(self) -> tuple[str, tuple[int, ...]]:
        """What was held back, and the numbers of the sources that the whole text cites."""
        if self._bracket:
            self._text(self._bracket)
            self._bracket = ""
        self._space = ""
        self._flush(final=True)
        return self._drain(), tuple(sorted(self._used))

    def _drain(self) -> str:
        text = "".join(self._out)
        self._out.clear()
        return text

    def _take(self, piece: str) -> None:
        for part in _PARTS.findall(piece):
            if self._bracket:
                for char in part:
                    self._after_bracket(char)
            elif len(part) > 1:
                self._text(part)
            else:
                self._char(part)

    def _after_bracket(self, char: str) -> None:
        if self._bracket:
            if self._extend_bracket(char):
                return
            bracket, self._bracket = self._bracket, ""
            self._text(bracket)
        self._char(char)

    def _char(self, char: str) -> None:
        if char == "`":
            self._text(char)
            self._code = not self._code
        elif self._code:
            self._text(char)
        elif char == "[":
            self._bracket = char
        elif char in _ENDS:
            if self._space:
                self._flush()
            self._end += char
        elif char in _CLOSERS and self._end and not self._space:
            self._end += char
        elif char.isspace():
            self._space += char
        else:
            self._text(char)

    def _extend_bracket(self, char: str) -> bool:
        if char in _IN_MARKER and len(self._bracket) < _LONGEST_MARKER:
            self._bracket += char
            return True
        if char != "]" or not _NUMBER.search(self._bracket):
            return False
        marker, self._bracket = f"{self._bracket}]", ""
        self._marker(marker)
        return True

    def _marker(self, marker: str) -> None:
        """The numbers that resolve, in front of an end mark that was held back."""
        numbers = [int(number) for number in _NUMBER.findall(marker)]
        known = [self._numbers[number] for number in numbers if number in self._numbers]
        touches_word = not (self._end or self._space) and self._sentence[-1:].isalnum()
        if not known and touches_word:
            self._text(marker)  # an index in code, such as list[0]
            return
        new = [n for n in dict.fromkeys(known) if n not in self._cited and self._allows(n)]
        if new:
            self._out.append(self._space if self._space and not self._end else " " * (not touches_word))
            self._out += [f"[{number}]" for number in new]
            self._cited.update(new)
            self._space = ""
        else:
            self._space = self._space.rstrip(" \t")

    def _allows(self, number: int) -> bool:
        """What is published is decided already; a marker behind a bare end mark stands for nothing."""
        if not self._adding:
            return True
        nothing = not self._sentence and bool(self._end or self._space)
        return not nothing and self._support.allows(self._sentence, number)

    def _text(self, text: str) -> None:
        self._flush()
        self._out.append(text)
        self._sentence += text

    def _flush(self, *, final: bool = False) -> None:
        """Something other than white space follows, or nothing at all."""
        end, space = self._end, self._space
        self._end = self._space = ""
        if final or self._ends_sentence(end, space):
            self._close()
            self._out.append(end + space)
        elif end or space:
            self._out.append(end + space)
            self._sentence += end + space

    def _ends_sentence(self, end: str, space: str) -> bool:
        if "\n" in space or not _ENDS_WITHOUT_SPACE.isdisjoint(end):
            return True
        return bool(end and space) and is_end(self._sentence, end)

    def _close(self) -> None:
        sentence = self._sentence.strip()
        if terms(sentence) and not sentence.endswith(":") and not sentence.startswith("|"):
            number = next(iter(self._cited), None) or self._support.best(sentence)
            if number is None:
                self.unsupported.append(sentence)
            else:
                self.supported += 1
            if number is not None and not self._cited and self._adding:
                self._out.append(f" [{number}]")
                self._cited.add(number)
        self._used |= self._cited
        self._sentence = ""
        self._cited = set()
