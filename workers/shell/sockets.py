"""HTTP connections that a client can't hold open without reading."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = structlog.get_logger(__name__)

SLOW_READER_S = 20.0


class ImpatientProtocol(HttpToolsProtocol):
    """Drops a connection whose write buffer has been above its limit (64 KiB) for `slow_reader_s` seconds.

    uvicorn then holds back what the app sends; so for a client that takes nothing, the server keeps a
    buffer and one message, for a bounded time. Other connections do not notice. A connection that is closed
    while its client still owes reading is dropped after the same time.
    """

    def __init__(self, *args: Any, slow_reader_s: float, on_slow: Callable[[], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._slow_reader_s = slow_reader_s
        self._on_slow = on_slow
        self._patience: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._patience = self.loop.call_later(self._slow_reader_s, self._give_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forgive()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forgive()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        if self._patience is None:
            self._patience = self.loop.call_later(self._slow_reader_s, self._give_up)

    def _give_up(self) -> None:
        log.info(
            "a client did not read; it is disconnected and may resume",
            action="slow_reader",
            client=self.client,
        )
        self._on_slow()
        self.transport.abort()

    def _forgive(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def impatient(slow_reader_s: float, on_slow: Callable[[], None]) -> Any:
    """What uvicorn takes as the class of its connections; `on_slow` is called for each that is dropped."""
    return partial(ImpatientProtocol, slow_reader_s=slow_reader_s, on_slow=on_slow)
