"""The dead-letter stream: what was given up, as it came, with the reason beside it."""

from nats.aio.msg import Msg

from bus import subjects
from bus.connection import Bus
from bus.envelope import MESSAGE_ID
from bus.publish import publish
from contracts.errors import AskfleetError

REASON = "Af-Dead-Reason"
CODE = "Af-Dead-Code"
ATTEMPTS = "Af-Dead-Attempts"
ORIGIN = "Af-Dead-Subject"


async def bury(bus: Bus, stage: str, message: Msg, error: AskfleetError, attempt: int) -> None:
    """Copy body and headers to the DLQ. Repeating it stores nothing twice."""
    headers = {k: v for k, v in (message.headers or {}).items() if not k.startswith("Nats-Expected")}
    sequence = message.metadata.sequence.stream
    headers |= {
        MESSAGE_ID: f"dead:{stage}:{message.metadata.stream}:{sequence}",
        REASON: error.detail.replace("\r", " ").replace("\n", " ")[:1000],
        CODE: error.code,
        ATTEMPTS: str(attempt),
        ORIGIN: message.subject,
    }
    tenant = subjects.tenant_of(message.subject)
    await publish(bus, subjects.dead(stage, tenant), message.data, headers=headers)
