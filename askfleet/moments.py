"""Moments as people write and read them."""

import re
import time
from datetime import UTC, datetime

from contracts.errors import Misconfigured

_SPAN = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[smhd])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def epoch_ms(written: str) -> int:
    """`2h` (ago), or a date with or without a time, in UTC unless it names a zone; raises Misconfigured."""
    span = _SPAN.match(written)
    if span:
        return int((time.time() - int(span["count"]) * _SECONDS[span["unit"]]) * 1000)
    try:
        moment = datetime.fromisoformat(written)
    except ValueError as error:
        raise Misconfigured(
            f"{written!r} is no moment.", remedy="Write 30m, 2h, 7d, or 2026-07-01T12:00."
        ) from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def ago(at_ms: int) -> str:
    """How long a moment is past, in its largest unit."""
    return span_of(max(0.0, time.time() - at_ms / 1000))


def span_of(seconds: float) -> str:
    """0.4 s, 12 s, 3 min, 5 h, 2 d."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds / unit)} {name}"
    return f"{int(seconds / 86_400)} d"
