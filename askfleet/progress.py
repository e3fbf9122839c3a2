"""A line that counts while many things are done one after the other."""

import time
from collections.abc import AsyncIterator
from typing import TypeVar

from rich.console import Console

T = TypeVar("T")

EVERY_S = 0.5


async def counted(done: AsyncIterator[T], console: Console, what: str, *, total: int) -> AsyncIterator[T]:
    """Hands on what is done; on a terminal it tells twice a second how much that is."""
    count, told_at = 0, time.monotonic()
    try:
        async for item in done:
            yield item
            count += 1
            if console.is_terminal and time.monotonic() - told_at > EVERY_S:
                told_at = time.monotonic()
                console.print(f"{what} {count:,} of {total:,}", end="\r", highlight=False)
    finally:
        if console.is_terminal:
            console.print(" " * 60, end="\r")
