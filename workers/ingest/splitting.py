"""A block that is too large for a chunk, in parts: by sentence, line, word, and at last by character."""

import re
from collections.abc import Iterator

from workers.ingest.parsing import Block
from workers.ingest.tokens import estimate

# Each unit keeps the white space that follows it, so that units joined again are the text as it was.
_SENTENCE = re.compile(r".+?(?:[.!?][\"')\]]*\s+|[\u3002\uff01\uff1f]\s*|\n\s*|\Z)", re.DOTALL)
_LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")
_WORD = re.compile(r"\s*\S+\s*")


def split(block: Block, target: int, maximum: int, *, overlap: int) -> list[str]:
    """The block's text as it is when it has at most `maximum` tokens, else parts of about `target` tokens."""
    if estimate(block.text) <= maximum:
        return [block.text]
    if block.kind == "table":
        return _split_table(block.text, target)
    pattern = _SENTENCE if block.kind == "paragraph" else _LINE
    return _parts(list(_units(block.text, pattern, target)), target, overlap)


def _split_table(text: str, target: int) -> list[str]:
    """The header row stands on every part, unless it is itself a large part of the table."""
    header, _, rows = text.partition("\n")
    width = estimate(header)
    if not rows or width > target // 2:
        return _parts(list(_units(text, _LINE, target)), target, 0)
    parts = _parts(list(_units(rows, _LINE, target - width)), target - width, 0)
    return [f"{header}\n{part}" for part in parts]


def _units(text: str, pattern: re.Pattern[str], limit: int) -> Iterator[str]:
    for match in pattern.finditer(text):
        unit = match[0]
        if estimate(unit) <= limit:
            yield unit
        elif pattern is not _WORD:
            yield from _units(unit, _WORD, limit)
        else:
            # A character is at most one token.
            yield from (unit[at : at + limit] for at in range(0, len(unit), limit))


def _parts(units: list[str], target: int, overlap: int) -> list[str]:
    parts: list[str] = []
    current: list[str] = []
    used = 0
    for unit in units:
        count = estimate(unit)
        if current and used + count > target:
            parts.append("".join(current))
            current = _tail(current, min(overlap, target - count))
            used = sum(estimate(kept) for kept in current)
        current.append(unit)
        used += count
    parts.append("".join(current))
    return [part.rstrip() if part.startswith(" ") else part.strip() for part in parts if part.strip()]


def _tail(units: list[str], limit: int) -> list[str]:
    """The last units up to `limit` tokens, never all of them."""
    kept: list[str] = []
    for unit in reversed(units[1:]):
        limit -= estimate(unit)
        if limit < 0:
            break
        kept.insert(0, unit)
    return kept
