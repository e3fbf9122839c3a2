"""Lines that an editor or a page layout wrapped, made whole again, so that sentences stay in one piece."""

import itertools
import re

_MIN_WIDTH = 40
_FULL_SHARE = 0.7
_ITEM = re.compile(r"\s*(?:[-*+\u2022\u2023\u25e6\u2013]|\d{1,3}[.)]|[A-Za-z][.)])\s")


def unwrapped(paragraph: str) -> str:
    """Joins a line with the next where it is about as long as the longest, and the next begins no list item.

    Short lines (verse, addresses, code in columns) stay as they are.
    """
    lines = paragraph.split("\n")
    width = max(map(len, lines))
    if len(lines) < 2 or width < _MIN_WIDTH:
        return paragraph
    whole = lines[0].rstrip()
    for before, line in itertools.pairwise(lines):
        goes_on = len(before.rstrip()) >= _FULL_SHARE * width and not _starts_anew(before, line)
        whole += f" {line.strip()}" if goes_on else f"\n{line.rstrip()}"
    return whole


def _starts_anew(before: str, line: str) -> bool:
    indent = len(line) - len(line.lstrip())
    deeper = indent > len(before) - len(before.lstrip()) + 3
    return deeper or not line.strip() or _ITEM.match(line) is not None
