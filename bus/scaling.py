"""How many replicas are wanted, and why: the local scaler answers whoever asks. In a cluster nobody does."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bus import subjects
from bus.connection import Bus
from contracts.errors import DependencyUnavailable

log = structlog.get_logger(__name__)

ANSWERED_WITHIN_S = 0.5


class _Part(BaseModel):
    """Fields of later releases are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ScalingState(_Part):
    """Where one ScaledObject stands."""

    scaled_object: str
    worker: str
    metric: float | None = Field(default=None, description="None: it could not be read")
    target_value: float = 0.0
    desired: int = 0
    ready: int = 0
    starting: int = 0
    draining: int = 0
    least: int = 0
    most: int = 0
    reason: str = ""
    since: float = Field(default=0.0, description="epoch seconds of the last change of `desired`")
    problem: str = ""


class ScalingDecision(_Part):
    """One change of the wanted number."""

    at: float = Field(description="epoch seconds")
    scaled_object: str
    before: int
    desired: int
    metric: float | None = Field(default=None, description="None: it could not be read")
    reason: str = ""


class ScalingReport(_Part):
    """All that is scaled, and the last decisions, newest first."""

    at: float = Field(description="epoch seconds")
    speed: float = Field(default=1.0, description="seconds of the rules' clock in a real second")
    node_s: float = Field(default=0.0, description="simulated")
    model_s: float = Field(default=0.0, description="simulated")
    states: tuple[ScalingState, ...] = ()
    decisions: tuple[ScalingDecision, ...] = ()


@asynccontextmanager
async def answer_scaling(bus: Bus, report: Callable[[], ScalingReport]) -> AsyncIterator[None]:
    """Tell whoever asks what is scaled and why, while the context is open."""

    async def answer(message: Msg) -> None:
        try:
            await message.respond(report().model_dump_json().encode())
        except (NatsError, OSError) as error:
            log.warning("a question about scaling stays unanswered", action="scaling.mute", error=repr(error))

    subscription = await bus.nc.subscribe(subjects.SCALING, cb=answer)
    try:
        yield
    finally:
        if not bus.nc.is_closed:
            await subscription.unsubscribe()


async def read_scaling(bus: Bus, *, within_s: float = ANSWERED_WITHIN_S) -> ScalingReport | None:
    """None where nobody answers: no local scaler decides, so in a cluster KEDA does.

    Raises:
        DependencyUnavailable: the scaler did not answer in time, or not understandably.
    """
    try:
        answer = await bus.nc.request(subjects.SCALING, b"", timeout=within_s)
        return ScalingReport.model_validate_json(answer.data)
    except NoRespondersError:
        return None
    except (NatsError, OSError, ValidationError) as error:
        raise DependencyUnavailable(f"What is scaled could not be asked: {error!r}.") from error
