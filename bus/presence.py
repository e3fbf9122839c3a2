"""Which workers are there: each answers a ping on a core subject, whoever asks collects the answers."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from bus import subjects
from bus.connection import Bus
from bus.topology import STAGES
from contracts.errors import DependencyUnavailable

log = structlog.get_logger(__name__)

GATHER_S = 0.5
SILENCE_S = 0.15
"""Workers answer within milliseconds; after this silence nobody else is expected."""

Conditions = Callable[[], dict[str, bool]]


class Presence(BaseModel):
    """What a worker says of itself. Fields of later releases are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(description="kind and instance: unique in the deployment")
    kind: str
    stage: str = Field(default="", description="the stage that it works for; empty for the bridge")
    instance: str = Field(description="new at each start of the process")
    version: str = ""
    host: str = ""
    pid: int = 0
    started_at: int = Field(default=0, description="epoch milliseconds")
    http_port: int = Field(default=0, description="of its probes and metrics; 0: not known")
    concurrency: int = Field(default=0, description="messages worked on at once")
    in_work: int = Field(default=0, description="of the cluster that is asked")
    helping: dict[str, int] = Field(
        default={}, description="by neighbouring cluster that it helps: messages of its in work"
    )
    guest: bool = Field(default=False, description="a neighbouring cluster's worker, here to help")
    conditions: dict[str, bool] = Field(default={}, description="ready when all hold")
    counts: dict[str, int] = Field(default={}, description="what this kind of worker counts beside")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ready(self) -> bool:
        return all(self.conditions.values())


@dataclass(frozen=True)
class Identity:
    """The part of a presence that stays the same for the life of the process."""

    kind: str
    version: str = ""
    instance: str = field(default_factory=lambda: secrets.token_hex(4))
    started_at: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    guest: bool = False

    def presence(self, bus: Bus, conditions: dict[str, bool]) -> Presence:
        return Presence(
            name=f"{self.kind}-{self.instance}",
            kind=self.kind,
            stage=self.kind if self.kind in STAGES else "",
            instance=self.instance,
            version=self.version,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=self.started_at,
            http_port=bus.vitals.http_port,
            concurrency=bus.vitals.concurrency,
            in_work=bus.vitals.in_work,
            helping=bus.vitals.helping,
            guest=self.guest,
            conditions=conditions,
            counts=bus.vitals.counts,
        )


@asynccontextmanager
async def answer_pings(bus: Bus, identity: Identity, conditions: Conditions) -> AsyncIterator[None]:
    """Tell whoever asks that this worker is there, while the context is open."""

    async def answer(message: Msg) -> None:
        presence = identity.presence(bus, conditions())
        try:
            await message.respond(presence.model_dump_json().encode())
        except (NatsError, OSError) as error:
            log.warning("a ping stays unanswered", action="ping_failed", error=repr(error))

    subscription = await bus.nc.subscribe(subjects.WORKERS_PING, cb=answer)
    try:
        yield
    finally:
        if not bus.nc.is_closed:
            await subscription.unsubscribe()


async def gather_presences(
    bus: Bus, *, within_s: float = GATHER_S, silence_s: float = SILENCE_S, guests: bool = False
) -> tuple[Presence, ...]:
    """All workers that answer, by name.

    Args:
        guests: those of neighbouring clusters, too. Their hosts and process ids are not of this cluster.
        within_s: the time limit.
        silence_s: also ends the wait, once nobody has answered for so long.

    Raises:
        DependencyUnavailable: the connection to NATS is down.
    """
    inbox = bus.nc.new_inbox()
    found: dict[str, Presence] = {}
    deadline = asyncio.get_running_loop().time() + within_s
    try:
        subscription = await bus.nc.subscribe(inbox)
        try:
            await bus.nc.publish(subjects.WORKERS_PING, b"", reply=inbox)
            while (left_s := deadline - asyncio.get_running_loop().time()) > 0:
                message = await subscription.next_msg(timeout=min(left_s, silence_s if found else left_s))
                if (message.headers or {}).get("Status") == "503":
                    break
                presence = _read(message.data)
                if presence is not None:
                    found[presence.name] = presence
        except TimeoutError:
            pass
        finally:
            await subscription.unsubscribe()
    except (NatsError, OSError) as error:
        raise DependencyUnavailable(f"The workers could not be asked: {error!r}.") from error
    return tuple(found[name] for name in sorted(found) if guests or not found[name].guest)


def _read(raw: bytes) -> Presence | None:
    try:
        return Presence.model_validate_json(raw)
    except ValidationError as error:
        log.warning("an answer to a ping can't be read", action="presence_unreadable", error=str(error))
        return None
