"""Answers that begin at once take turns, so that those under way keep their rhythm."""

import asyncio
from collections.abc import Sequence

from contracts import Event, Evidence
from workers.generation.reading import read_passage


class Turns:
    """Reading a passage takes up to a millisecond of the event loop: one at a time, others' tokens between.

    `read_passage` keeps what it has read, so what follows finds it there.
    """

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    async def read(self, log: Sequence[Event]) -> None:
        for event in log:
            if isinstance(event, Evidence):
                for passage in event.passages:
                    async with self._one:
                        read_passage(passage.text)
                        await asyncio.sleep(0)
