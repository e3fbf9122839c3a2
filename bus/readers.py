"""Bridges ask each other whether an answer is being read, before one of them cancels it as abandoned."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from bus import subjects
from bus.connection import Bus
from bus.subjects import AnswerKey

log = structlog.get_logger(__name__)

WITHIN_S = 0.5


@asynccontextmanager
async def tell_of_readers(bus: Bus, is_read: Callable[[AnswerKey], bool]) -> AsyncIterator[None]:
    """Answer the questions of other bridges about what is read here, while the context is open."""

    async def answer(message: Msg) -> None:
        if is_read(subjects.answer_key(message.subject)):
            await message.respond(b"")

    subscription = await bus.nc.subscribe(subjects.READERS, cb=answer)
    try:
        yield
    finally:
        if not bus.nc.is_closed:
            await subscription.unsubscribe()


async def is_read_elsewhere(bus: Bus, key: AnswerKey) -> bool:
    """Whether a bridge says so in half a second. This bridge is asked, too: it must not read it itself."""
    try:
        await bus.nc.request(subjects.readers(*key), b"", timeout=WITHIN_S)
    except (TimeoutError, NoRespondersError):
        return False
    except (NatsError, OSError) as error:
        log.warning("other bridges can't be asked", action="readers_unasked", error=repr(error))
        return True
    return True
