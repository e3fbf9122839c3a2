"""One open pull request on one consumer, and what is known of what waits behind it."""

import asyncio
import json
from collections.abc import Callable

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from bus.connection import Bus
from bus.topology import GROUP

log = structlog.get_logger(__name__)

IDLE_HEARTBEAT_S = 5.0
SILENCE_S = 2.0
NANOSECONDS = 1_000_000_000


class OpenPull:
    """Asks a consumer for messages, one request at a time.

    Args:
        priority: 0 to 9: where several clusters pull, lower ones are served first.

    Attributes:
        outstanding: how many messages may still come of the open request.
        waiting: how many the consumer held behind the last one that came.
        held: how many of its messages are being worked on.
        found_nothing: the last request ended unfilled.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        durable: str,
        *,
        priority: int = 0,
        on_message: Callable[["OpenPull", Msg], object],
        on_end: Callable[[str], object],
    ) -> None:
        self._bus = bus
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._group: dict[str, str | int] = {"group": GROUP} | ({"priority": priority} if priority else {})
        self._on_message = on_message
        self._on_end = on_end
        self._subscription: Subscription | None = None
        self._inbox = ""
        self._request = 0
        self._reconnects = 0
        self._silent_after = 0.0
        self._silence_s = 0.0
        self._last_status = ""
        self.asked_at = 0.0
        self.outstanding = 0
        self.waiting = 0
        self.held = 0
        self.found_nothing = False

    async def open(self) -> None:
        """A new inbox: the server drops requests whose inbox nobody listens to."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()
        self._reconnects = self._bus.nc.stats["reconnects"]
        self._inbox = self._bus.nc.new_inbox()
        self._subscription = await self._bus.nc.subscribe(f"{self._inbox}.*", cb=self._receive)
        self.outstanding = 0

    async def ask(self, batch: int, *, expires_s: float = 0.0) -> None:
        """`expires_s` 0: only what waits now."""
        self.outstanding = batch
        self._request += 1
        self.asked_at = asyncio.get_running_loop().time()
        beats = expires_s > 2 * IDLE_HEARTBEAT_S
        self._silence_s = 2 * IDLE_HEARTBEAT_S if beats else expires_s + SILENCE_S
        self._hear()
        body: dict[str, int | bool | str] = {"batch": batch, **self._group}
        if expires_s > 0:
            body["expires"] = int(expires_s * NANOSECONDS)
        else:
            body["no_wait"] = True
        if beats:
            body["idle_heartbeat"] = int(IDLE_HEARTBEAT_S * NANOSECONDS)
        await self._bus.nc.publish(
            self._next, json.dumps(body).encode(), reply=f"{self._inbox}.{self._request}"
        )

    async def renew_if_lost(self) -> None:
        """The server may have restarted or the consumer moved: then the open request is forgotten."""
        if self.outstanding > 0 and (self._silent() or self._reconnected()):
            await self.open()

    async def close(self) -> None:
        if self._subscription is not None:
            await self._subscription.drain()  # type: ignore[no-untyped-call]

    def _silent(self) -> bool:
        return asyncio.get_running_loop().time() > self._silent_after

    def _reconnected(self) -> bool:
        return bool(self._bus.nc.stats["reconnects"] != self._reconnects)

    def _hear(self) -> None:
        self._silent_after = asyncio.get_running_loop().time() + self._silence_s

    async def _receive(self, message: Msg) -> None:
        self._hear()
        if not message.reply:
            self._on_status(message)
            return
        self.outstanding = max(0, self.outstanding - 1)
        self.found_nothing = False
        self.waiting = message.metadata.num_pending
        self._on_message(self, message)

    def _on_status(self, message: Msg) -> None:
        """A status ends the open request, except for a heartbeat (100) or one of an older request."""
        status = (message.headers or {}).get("Status", "")
        if status == "100" or not message.subject.endswith(f".{self._request}"):
            return
        if status not in ("404", "408", self._last_status):
            log.info("pull request ended", action="pull_ended", status=status, headers=message.headers)
        self._last_status = status
        self.outstanding = 0
        self.waiting = 0
        self.found_nothing = True
        self._on_end(status)
