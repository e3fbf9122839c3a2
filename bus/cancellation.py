"""Cancel messages reach the work they are meant for; the work ends, and the log says so."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from nats.aio.msg import Msg

from bus import subjects
from bus.answer_log import AnswerWriter
from bus.connection import Bus
from bus.subjects import AnswerKey
from contracts import Cancelled
from contracts.errors import AnswerEnded

T = TypeVar("T")


class Cancellations:
    """The work of one process that a cancel message can stop."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._tasks: dict[AnswerKey, asyncio.Task[Any]] = {}
        self._stopped: set[AnswerKey] = set()

    async def run(self, tenant: str, query_id: str, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`.

        Raises:
            AnswerEnded: a cancel message came; `work` was cancelled and the log ends as `cancelled`.
        """
        key = AnswerKey(tenant, query_id)
        task = asyncio.create_task(work)
        self._tasks[key] = task
        try:
            return await task
        except asyncio.CancelledError:
            if key not in self._stopped:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                raise
            await AnswerWriter(self._bus, tenant, query_id).append_once(Cancelled(reason="by the client"))
            raise AnswerEnded(f"{query_id!r} was cancelled.") from None
        finally:
            self._tasks.pop(key, None)
            self._stopped.discard(key)

    async def receive(self, message: Msg) -> None:
        key = subjects.answer_key(message.subject)
        task = self._tasks.get(key)
        if task is not None:
            self._stopped.add(key)
            task.cancel()


@asynccontextmanager
async def watch_cancellations(bus: Bus) -> AsyncIterator[Cancellations]:
    """Listens for cancel messages of all tenants while the context is open."""
    cancellations = Cancellations(bus)
    subscription = await bus.nc.subscribe(subjects.CANCEL, cb=cancellations.receive)
    try:
        yield cancellations
    finally:
        await subscription.unsubscribe()
