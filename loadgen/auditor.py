"""Follows the stream of all answers while a load run goes on: what the durable truth was.

One push consumer without acknowledgements takes a tenth of the processor time of batched direct gets.
Its messages are counted; where one is missing, or the server went away, another consumer begins behind the
last message that was read, so none is missed and none counts twice.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from bus import subjects
from bus.connection import Bus
from bus.subjects import AnswerKey
from bus.topology import ANSWERS
from contracts import decode_event, is_terminal
from contracts.errors import DecodeError
from loadgen.account import Account
from loadgen.oracle import Violation
from loadgen.promises import Line

log = structlog.get_logger(__name__)

HEARTBEAT_S = 1.0
SILENT_AFTER_S = 3.0
INACTIVE_S = 10.0
RETRY_S = 0.25
PENDING_MESSAGES = 200_000
PENDING_BYTES = 256 * 1024 * 1024
FOREIGN_S = ANSWERS.max_age_s
"""Answers that nobody asks the judge about are forgotten so long after their end."""


class _Following:
    """One consumer's messages, counted; `lost` once one is missing or nothing is heard from the server."""

    def __init__(self, bus: Bus, take: Callable[[Msg], None]) -> None:
        self._bus = bus
        self._take = take
        self._delivered = 0
        self._broken = False
        self._subscription: Subscription | None = None
        self._heard_at = asyncio.get_running_loop().time()

    @property
    def lost(self) -> bool:
        return self._broken or asyncio.get_running_loop().time() - self._heard_at > SILENT_AFTER_S

    async def listen(self, inbox: str) -> None:
        self._subscription = await self._bus.nc.subscribe(
            inbox, cb=self._receive, pending_msgs_limit=PENDING_MESSAGES, pending_bytes_limit=PENDING_BYTES
        )

    async def close(self) -> None:
        self._broken = True
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def _receive(self, message: Msg) -> None:
        if self._broken:
            return
        self._heard_at = asyncio.get_running_loop().time()
        if message.headers and message.headers.get("Status") == "100":
            await self._receive_control(message, message.headers)
        elif message.metadata.sequence.consumer != self._delivered + 1:
            self._broken = True
        else:
            self._delivered += 1
            self._take(message)

    async def _receive_control(self, message: Msg, headers: Mapping[str, str]) -> None:
        """Flow control wants an answer; a heartbeat tells how many messages there should have been."""
        answer = message.reply or headers.get("Nats-Consumer-Stalled")
        if answer:
            await self._bus.nc.publish(answer)
        last = headers.get("Nats-Last-Consumer")
        if last is not None and int(last) != self._delivered:
            self._broken = True


class Auditor:
    """`accounts` holds the answers by key until `close` takes them out."""

    def __init__(self, bus: Bus, *, after_sequence: int) -> None:
        self._bus = bus
        self.sequence = after_sequence
        self.accounts: dict[AnswerKey, Account] = {}
        self.messages = 0
        self._closed: set[AnswerKey] = set()
        self._late: list[Violation] = []
        self._following: _Following | None = None

    def close(self, keys: tuple[AnswerKey, ...]) -> None:
        """These are judged: any further event of theirs is a violation."""
        self._closed.update(keys)
        for key in keys:
            self.accounts.pop(key, None)

    def late(self) -> tuple[Violation, ...]:
        """Events of closed answers since the last call."""
        found, self._late = tuple(self._late), []
        return found

    def forget_foreign(self, *, now: int) -> None:
        before = now - FOREIGN_S * 1_000
        old = [key for key, found in self.accounts.items() if 0 < found.terminal_at < before]
        for key in old:
            del self.accounts[key]

    async def follow_forever(self) -> None:
        """Looks after the consumer: makes one, and another when it is lost."""
        while True:
            try:
                if self._following is None or self._following.lost:
                    await self._begin()
            except (NatsError, OSError, TimeoutError) as error:
                log.info("the audit waits for NATS", action="audit_waits", error=repr(error))
            await asyncio.sleep(RETRY_S)

    async def catch_up(self, *, within_s: float = 30.0) -> None:
        """Until all that is on the stream by now has been read. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while True:
                try:
                    state = (await self._bus.js.stream_info(ANSWERS.name)).state
                except (NatsError, OSError):
                    await asyncio.sleep(RETRY_S)
                    continue
                break
            while self.sequence < state.last_seq:  # noqa: ASYNC110 (the reader only counts)
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        if self._following is not None:
            following, self._following = self._following, None
            await following.close()

    async def _begin(self) -> None:
        await self.stop()
        inbox = self._bus.nc.new_inbox()
        following = _Following(self._bus, self._take)
        self._following = following
        await following.listen(inbox)
        config = ConsumerConfig(
            deliver_subject=inbox,
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self.sequence + 1,
            idle_heartbeat=HEARTBEAT_S,
            flow_control=True,
            mem_storage=True,
            inactive_threshold=INACTIVE_S,
        )
        await self._bus.js.add_consumer(ANSWERS.name, config)

    def _take(self, message: Msg) -> None:
        sequence = message.metadata.sequence.stream
        if sequence > self.sequence:
            self.sequence = sequence
            self._add(message)

    def _add(self, message: Msg) -> None:
        self.messages += 1
        key = subjects.answer_key(message.subject)
        try:
            event = decode_event(message.data)
        except DecodeError as error:
            log.error("an event can't be read", action="audit_undecodable", error=str(error))
            return
        if key in self._closed:
            line = Line.ONE_TERMINAL if is_terminal(event) else Line.NOTHING_AFTER_TERMINAL
            detail = f"event {event.index} ({event.type}) came after the answer was judged"
            self._late.append(Violation(key, line, detail))
            return
        account = self.accounts.get(key)
        if account is None:
            account = self.accounts[key] = Account(key)
        account.add(event, message.data)


@asynccontextmanager
async def audit(bus: Bus) -> AsyncIterator[Auditor]:
    """Follow all answers from now on, while the context is open."""
    state = (await bus.js.stream_info(ANSWERS.name)).state
    auditor = Auditor(bus, after_sequence=state.last_seq)
    following = asyncio.create_task(auditor.follow_forever())
    try:
        yield auditor
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await auditor.stop()
