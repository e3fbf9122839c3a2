"""Work that ends when it is done, or in order at the first SIGINT or SIGTERM."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""Exit status of a command that a person ended."""


@contextmanager
def ended_in_order() -> Iterator[None]:
    """A SIGTERM is taken as Ctrl-C is: what lies within cleans up. For work without an event loop."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def until_signalled(work: Coroutine[object, object, None]) -> bool:
    """Run `work`; cancel it when a signal comes. True when it was a signal that ended it.

    From the first call on, a further Ctrl-C changes nothing: what follows is the clean-up, which must finish.
    """
    signalled = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled.set)
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(signalled.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return False
        return True
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)
