"""How often a message was tried: deliveries that were handed back without a fault do not count.

The server counts deliveries. A worker that stops, or that has enough redelivered work in hand, gives a
message back untried. It notes that on a stream of its own, which is read only when a message is about to be
given up.
"""

from nats.aio.msg import Msg

from bus import subjects
from bus.connection import Bus
from bus.envelope import MESSAGE_ID
from bus.publish import publish
from bus.topology import HANDED_BACK


async def note_hand_back(bus: Bus, message: Msg) -> None:
    """Repeating it changes nothing."""
    found = message.metadata
    subject = subjects.handed_back(found.stream, found.sequence.stream, found.num_delivered)
    await publish(bus, subject, b"", headers={MESSAGE_ID: subject}, attempts=2)


async def tried(bus: Bus, message: Msg) -> int:
    """Deliveries that ended in a fault or in silence, this one included."""
    found = message.metadata
    handed_back = subjects.handed_back(found.stream, found.sequence.stream, "*")
    info = await bus.js.stream_info(HANDED_BACK.name, subjects_filter=handed_back)
    return found.num_delivered - len(info.state.subjects or {})
