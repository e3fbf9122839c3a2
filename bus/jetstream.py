"""JetStream's API as far as its client library leaves something out: requests with a typed answer."""

import json
from dataclasses import dataclass
from typing import TypeVar

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from bus.connection import Bus
from contracts.errors import DependencyUnavailable

M = TypeVar("M", bound=BaseModel)


class StreamState(BaseModel):
    messages: int = 0
    bytes: int = 0
    num_subjects: int = 0
    first_seq: int = 0
    last_seq: int = 0
    subjects: dict[str, int] = {}


class StreamInfo(BaseModel):
    state: StreamState


class Sequences(BaseModel):
    stream_seq: int = 0


class ConsumerConfig(BaseModel):
    filter_subject: str = ""
    max_deliver: int = -1


class ConsumerInfo(BaseModel):
    """`ts` is the server's clock."""

    config: ConsumerConfig
    delivered: Sequences
    ack_floor: Sequences
    num_ack_pending: int = 0
    num_redelivered: int = 0
    num_pending: int = 0
    ts: str


class ConsumerNames(BaseModel):
    consumers: list[str] | None = None


@dataclass(frozen=True)
class JetStreamApi:
    """`within_s` bounds each request. All raise DependencyUnavailable, which names the call, or
    PermissionDenied.
    """

    bus: Bus
    within_s: float

    async def stream(self, stream: str, *, subjects_filter: str = "") -> StreamInfo:
        body = {"subjects_filter": subjects_filter} if subjects_filter else {}
        return await self._ask(f"STREAM.INFO.{stream}", StreamInfo, body)

    async def consumer(self, stream: str, durable: str) -> ConsumerInfo:
        return await self._ask(f"CONSUMER.INFO.{stream}.{durable}", ConsumerInfo, {})

    async def consumers(self, stream: str) -> list[str]:
        return (await self._ask(f"CONSUMER.NAMES.{stream}", ConsumerNames, {})).consumers or []

    async def next_stored_at(self, stream: str, subject: str, from_sequence: int) -> str:
        """When the first message of `subject` at or after a sequence was stored; empty: there is none."""
        body: dict[str, object] = {"seq": from_sequence, "next_by_subj": subject}
        message = await self._request(f"DIRECT.GET.{stream}", body)
        return (message.headers or {}).get("Nats-Time-Stamp", "")

    async def _ask(self, call: str, kind: type[M], body: dict[str, object] | dict[str, str]) -> M:
        message = await self._request(call, body)
        try:
            answer = from_json(message.data)
            if "error" in answer:
                raise DependencyUnavailable(f"{call}: {answer['error'].get('description')}.")
            return kind.model_validate(answer)
        except (ValueError, ValidationError) as error:
            raise DependencyUnavailable(f"{call}: not the answer of a JetStream server.") from error

    async def _request(self, call: str, body: dict[str, object] | dict[str, str]) -> Msg:
        subject = f"$JS.API.{call}"
        encoded = json.dumps(body).encode() if body else b""
        try:
            with self.bus.denials.guard(subject):
                return await self.bus.nc.request(subject, encoded, timeout=self.within_s)
        except NoRespondersError as error:
            raise DependencyUnavailable(f"{call}: JetStream is not there for this account.") from error
        except (NatsError, TimeoutError, OSError) as error:
            raise DependencyUnavailable(f"{call}: no answer within {self.within_s:g} s.") from error
