"""What the server gave up by itself: workers died over it until its consumer delivers it no more.

Normally a worker gives a message up (`bus.delivery`). Where none lives long enough for that, the server says
in an advisory that it delivered as often as it may; the message then stays in its stream, in no queue. One
worker of the stage takes it from there: `failed` on the log, a dead letter, off the stream. An advisory is
a core message that nobody may have heard, so each worker also looks for such messages now and then.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from nats.aio.msg import Msg
from pydantic import BaseModel, ValidationError

from bus import subjects
from bus.connection import Bus
from bus.dead_letter import bury
from bus.delivery import GiveUp, Refusal, Terms, tell
from bus.envelope import Envelope
from bus.jetstream import ConsumerInfo, JetStreamApi
from bus.stored import Stored, delete_one, read_batch, read_one
from contracts.errors import AskfleetError, PermanentError

log = structlog.get_logger(__name__)

SWEEP_EVERY_S = 30.0
SURE_AFTER_S = 2.0
"""A message that is just being acknowledged looks abandoned for a moment."""


class MaxDeliveries(BaseModel):
    """The part of the server's advisory that is used."""

    stream: str
    stream_seq: int
    deliveries: int = 0


class Backstop:
    """Buries what one stream holds and no consumer delivers. Repeating it changes nothing."""

    def __init__(self, bus: Bus, stream: str, terms: Terms, give_up: GiveUp) -> None:
        self._bus = bus
        self._stream = stream
        self._terms = terms
        self._give_up = give_up
        self._api = JetStreamApi(bus, bus.settings.publish_timeout_s)

    async def on_advisory(self, message: Msg) -> None:
        try:
            told = MaxDeliveries.model_validate_json(message.data)
            await self._bury(told.stream_seq, told.deliveries)
        except ValidationError as error:
            log.warning("an advisory can't be read", action="advisory_unreadable", error=str(error))
        except AskfleetError as error:
            log.warning("the next sweep tries again", action="backstop_failed", error=str(error))

    async def sweep_until(self, stopped: asyncio.Event, *, every_s: float) -> None:
        """A request that is answered as it is cancelled swallows the cancellation: hence an event as well."""
        while not stopped.is_set():
            try:
                await self.sweep()
            except AskfleetError as error:
                log.warning("the next sweep tries again", action="sweep_failed", error=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await stopped.wait()

    async def sweep(self) -> int:
        """Bury what is still abandoned when it is looked at again; returns how many."""
        suspects = await self._abandoned()
        if not suspects:
            return 0
        await asyncio.sleep(SURE_AFTER_S)
        sure = await self._abandoned()
        found = [(sequence, sure[sequence]) for sequence in suspects if sequence in sure]
        for sequence, deliveries in found:
            await self._bury(sequence, deliveries)
        return len(found)

    async def _abandoned(self) -> dict[int, int]:
        """Sequences of messages that no consumer waits for or will deliver, with their deliveries."""
        found: dict[int, int] = {}
        durables = await self._api.consumers(self._stream)
        infos = [await self._api.consumer(self._stream, durable) for durable in durables]
        stored = (await self._api.stream(self._stream)).state.messages
        if stored <= sum(info.num_pending + info.num_ack_pending for info in infos):
            return found
        for info in infos:
            async for sequence in self._below(info):
                found[sequence] = info.config.max_deliver
        return found

    async def _below(self, info: ConsumerInfo) -> AsyncIterator[int]:
        """Messages of a consumer below everything that it still has to settle."""
        settled = info.delivered.stream_seq if info.num_ack_pending == 0 else info.ack_floor.stream_seq
        following = 1
        while following <= settled:
            batch = await read_batch(
                self._bus, self._stream, info.config.filter_subject, from_sequence=following, limit=1
            )
            if not batch.messages or batch.messages[0].sequence > settled:
                return
            yield batch.messages[0].sequence
            following = batch.messages[0].sequence + 1

    async def _bury(self, sequence: int, deliveries: int) -> None:
        stored = await read_one(self._bus, self._stream, sequence)
        if stored is None:
            return
        fault = PermanentError(
            f"No worker settled this message in {deliveries} deliveries: they ended over it, or lost NATS.",
            remedy="Look for the end of a worker in the logs of its stage; then `askfleet dlq replay`.",
        )
        await tell(self._give_up, self._refusal(stored, fault))
        await bury(self._bus, self._terms.stage, stored, fault, deliveries)
        await delete_one(self._bus, self._stream, sequence)
        log.error("given up by the server", action="buried", stage=self._terms.stage, sequence=sequence)

    def _refusal(self, stored: Stored, fault: PermanentError) -> Refusal:
        envelope = Envelope.read(
            stored.headers, sent_ms=stored.at_ms, default_deadline_s=self._terms.default_deadline_s
        )
        tenant, lane = subjects.tenant_of(stored.subject), subjects.lane_of(stored.subject)
        return Refusal(stored.body, tenant, envelope, fault, lane)


@asynccontextmanager
async def watch_given_up(
    bus: Bus, stream: str, terms: Terms, give_up: GiveUp, *, every_s: float = SWEEP_EVERY_S
) -> AsyncIterator[Backstop]:
    """One worker of the stage acts on an advisory, each looks for what nobody acted on."""
    backstop = Backstop(bus, stream, terms, give_up)
    subscription = await bus.nc.subscribe(
        subjects.given_up(stream), queue=f"given-up-{terms.stage}", cb=backstop.on_advisory
    )
    stopped = asyncio.Event()
    sweeping = asyncio.create_task(backstop.sweep_until(stopped, every_s=every_s))
    try:
        yield backstop
    finally:
        stopped.set()
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        if not bus.nc.is_closed:
            await subscription.unsubscribe()
