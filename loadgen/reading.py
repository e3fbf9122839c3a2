"""What a client reads of one answer, over all its connections."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from loadgen.observed import End
from loadgen.sse import Frames
from loadgen.witness import Seen

ENDS = {"done": End.DONE, "failed": End.FAILED, "cancelled": End.CANCELLED}
TOKENS = b'"tokens":'


class Pulse(Protocol):
    """Hears of text while it comes; times in seconds."""

    def first_token_came(self, after_s: float) -> None: ...

    def tokens_came(self, tokens: int, *, interval_s: float | None) -> None: ...


@dataclass
class Reading:
    """`seen` has every event as it came, repeats and gaps included, for the judge; the counts leave repeats
    out.

    Args:
        scheduled_at: when the query was due; like all times here of `time.perf_counter`.
        steady: the reader takes what comes as it comes, so that its times say something of the system.
    """

    pulse: Pulse
    scheduled_at: float = 0.0
    steady: bool = True
    seen: list[Seen] = field(default_factory=list)
    last_id: int = 0
    first_token_at: float | None = None
    text_at: float = 0.0
    ended_at: float = 0.0
    end: End | None = None
    route: str = ""
    problem: str = ""
    tokens: int = 0

    @property
    def ended(self) -> bool:
        return self.end is not None

    def add(self, at: float, index: int, event: str, data: bytes) -> None:
        self.seen.append(Seen(index, data))
        if index <= self.last_id:
            return
        self.last_id = index
        if event == "delta":
            tokens = tokens_of(data)
            self.tokens += tokens
            self.note_text(at, tokens)
        elif event == "routed":
            self.route = str(json.loads(data).get("route", ""))
        elif event in ENDS and self.end is None:
            self.end, self.ended_at = ENDS[event], at
            if event == "failed":
                self.problem = str(json.loads(data)["problem"]["code"])

    def note_text(self, at: float, tokens: int) -> None:
        """Text came, of so many tokens or more."""
        interval_s = None
        if self.first_token_at is None:
            self.first_token_at = at
            if self.steady:
                self.pulse.first_token_came(at - self.scheduled_at)
        elif self.steady:
            interval_s = at - self.text_at
        self.text_at = at
        self.pulse.tokens_came(tokens, interval_s=interval_s)


def tokens_of(delta: bytes) -> int:
    """The number behind the last `"tokens":`: a delta is read once a token, so it is not decoded for this."""
    digits = delta[delta.rfind(TOKENS) + len(TOKENS) :].rstrip(b"} \n")
    return int(digits) if digits.isdigit() else 1


@dataclass
class StreamReading:
    """One connection's part: cuts the stream into events and passes them on."""

    reading: Reading
    on_begin: Callable[[float], None] = lambda _: None
    first_event_at: float = 0.0
    retry_ms: int = 0
    _frames: Frames = field(default_factory=Frames)

    def begin(self, at: float) -> None:
        self.on_begin(at)

    def receive(self, at: float, body: bytes) -> None:
        for block in self._frames.feed(body):
            self.retry_ms = block.retry_ms or self.retry_ms
            if block.data:
                self.first_event_at = self.first_event_at or at
                self.reading.add(at, block.id, block.event, block.data)
