"""Cancel messages reach the work they are meant for; the work ends, and the log says so."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog
from nats.aio.msg import Msg

from bus import subjects
from bus.answer_log import AnswerWriter, read_log
from bus.connection import Bus
from bus.subjects import AnswerKey
from contracts import Cancelled
from contracts.errors import AnswerEnded, AskfleetError

log = structlog.get_logger(__name__)

T = TypeVar("T")

REMEMBER_S = 10.0
"""A cancel may come while the job is on its way to the work: it holds for work that begins by then."""
CHECK_S = 0.25


class Cancellations:
    """The work of one process that a cancel message can stop."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._tasks: dict[AnswerKey, asyncio.Task[Any]] = {}
        self._stopped: set[AnswerKey] = set()
        self._recent: dict[AnswerKey, float] = {}
        self._reconnects = bus.nc.stats["reconnects"]

    async def run(self, tenant: str, query_id: str, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`.

        Raises:
            AnswerEnded: a cancel message came; `work` was cancelled and the log ends as `cancelled`.
        """
        key = AnswerKey(tenant, query_id)
        if key in self._recent:
            work.close()
            raise await self._ended(key)
        task = asyncio.create_task(work)
        self._tasks[key] = task
        try:
            return await task
        except asyncio.CancelledError:
            if key not in self._stopped:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                raise
            raise await self._ended(key) from None
        finally:
            self._tasks.pop(key, None)
            self._stopped.discard(key)

    async def receive(self, message: Msg) -> None:
        key = subjects.answer_key(message.subject)
        self._recent[key] = asyncio.get_running_loop().time()
        self._stop(key)

    async def look_after_forever(self) -> None:
        """Forgets old cancels. Those sent while NATS was away are lost: afterwards the logs tell of them."""
        while True:
            await asyncio.sleep(CHECK_S)
            before = asyncio.get_running_loop().time() - REMEMBER_S
            self._recent = {key: at for key, at in self._recent.items() if at > before}
            reconnects = self._bus.nc.stats["reconnects"]
            if reconnects != self._reconnects:
                self._reconnects = reconnects
                await self._read_logs()

    async def _read_logs(self) -> None:
        for key in list(self._tasks):
            try:
                state = await read_log(self._bus, *key)
            except AskfleetError as error:
                log.warning("a cancel may go unseen", action="cancel_unread", error=str(error))
                continue
            if isinstance(state.terminal, Cancelled):
                self._stop(key)

    def _stop(self, key: AnswerKey) -> None:
        task = self._tasks.get(key)
        if task is not None:
            self._stopped.add(key)
            task.cancel()

    async def _ended(self, key: AnswerKey) -> AnswerEnded:
        """Say it on the log, unless it stands there."""
        try:
            await AnswerWriter(self._bus, *key).append_once(Cancelled(reason="by the client"))
        except AnswerEnded as error:
            return error
        return AnswerEnded(f"{key.query_id!r} was cancelled.")


@asynccontextmanager
async def watch_cancellations(bus: Bus) -> AsyncIterator[Cancellations]:
    """Listens for cancel messages of all tenants while the context is open."""
    cancellations = Cancellations(bus)
    subscription = await bus.nc.subscribe(subjects.CANCEL, cb=cancellations.receive)
    looking = asyncio.create_task(cancellations.look_after_forever())
    try:
        yield cancellations
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await subscription.unsubscribe()
