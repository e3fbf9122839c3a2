"""Shares a turn of the event loop: so much in this one, the rest in the next ones.

Many writers that were told at once to go on would hold the loop until the last has written: a cancel, or a
token of another answer, waits behind all of them.
"""

import asyncio
from collections import deque

AT_ONCE = 2


class Turns:
    """At most `at_once` of those that `wait` go on in one turn of the loop, first come, first served."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._left = at_once
        self._counting = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        self._count()
        if self._left and not self._waiting:
            self._left -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _count(self) -> None:
        if not self._counting:
            self._counting = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._counting, self._left = False, self._at_once
        while self._waiting and self._left:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
        if self._waiting or self._left < self._at_once:
            self._count()
