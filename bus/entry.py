"""An event as it stands on the log: its bytes go on to readers as they are, decoded only where needed."""

import re
from typing import NamedTuple, get_args

from contracts import Event, Terminal, decode_event, encode

_HEAD = re.compile(rb'\{"index":(\d+),"id":"[^"\\]*","at":\d+,"type":"([a-z_]+)"')
"""How `encode` begins each event; what another encoder wrote is decoded and written anew."""
_TERMINALS = frozenset(kind.model_fields["type"].default for kind in get_args(Terminal))


class Entry(NamedTuple):
    """One event; `number` is its index in the answer, `raw` its JSON on one line."""

    number: int
    type: str
    raw: bytes

    @property
    def event(self) -> Event:
        return decode_event(self.raw)

    @property
    def terminal(self) -> bool:
        return self.type in _TERMINALS


def read_entry(raw: bytes) -> Entry:
    """Raises DecodeError where it is not an event."""
    found = _HEAD.match(raw)
    if found is None or b"\n" in raw:
        event = decode_event(raw)
        return Entry(event.index, event.type, encode(event))
    return Entry(int(found[1]), found[2].decode(), raw)
