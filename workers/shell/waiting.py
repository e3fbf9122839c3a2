"""A worker that starts while something it needs is away waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from contracts.errors import TransientError

T = TypeVar("T")

log = structlog.get_logger(__name__)

PATIENCE_S = 60.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 1.0


async def once_there(step: Callable[[], Awaitable[T]], *, patience_s: float = PATIENCE_S) -> T:
    """Repeat `step` while it fails with a fault that may pass; the last one is raised when the time is up.

    An exit instead would have the process started again and again, after ever longer pauses.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_s
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await step()
        except TransientError as error:
            if loop.time() + pause_s > give_up:
                raise
            log.warning(
                "something that is needed is away; waiting for it", action="start_waits", error=error.detail
            )
        await asyncio.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
