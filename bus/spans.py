"""The spans of a trace, as the bus and the workers make them.

What a span is made with is decided once in each process: `workers.tracing` makes real ones, and `NoSpans`,
which is the default, makes none and costs next to nothing. Handlers know none of this: what a span says of a
stage is read from the events that the stage writes on the answer log.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel

from bus.vitals import Outcome
from contracts import Event, Query

Value = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Value]


class Kind(StrEnum):
    """What a span stands for, in the words of OpenInference."""

    CHAIN = "CHAIN"
    RETRIEVER = "RETRIEVER"
    EMBEDDING = "EMBEDDING"
    TOOL = "TOOL"
    LLM = "LLM"


@dataclass(frozen=True)
class Arrival:
    """A message that came to a worker: one attempt at one piece of work.

    `trace_parent` is what it carries, or what stands in for it (see `own_trace_parent`); empty where its work
    belongs to no trace. `stored_ms` is when the stream took it, in epoch milliseconds.
    """

    stage: str
    stream: str
    sequence: int
    attempt: int
    stored_ms: int
    trace_parent: str

    def span_id(self, attempt: int) -> str:
        """The id of an attempt's span follows from the message, so that a later attempt can name it.

        The earlier one may be another process, which ended without a word.
        """
        return _hashed(f"{self.stream}:{self.sequence}:{self.stored_ms}:{attempt}")[:16]


class Span(Protocol):
    @property
    def trace_parent(self) -> str:
        """For a server that is asked for a part of the work to carry on; empty where nothing is traced."""

    def note(self, attributes: Attributes) -> None: ...

    def mark(self, event: str) -> None:
        """A moment within the span."""


class Spans(Protocol):
    """A process makes its spans with one of these."""

    @property
    def recording(self) -> bool:
        """Whether what is noted now is kept by anyone."""

    def own_trace_parent(self, arrival: Arrival) -> str:
        """For a query that came without one: the same at each attempt. Empty when nothing is traced."""

    def working(self, arrival: Arrival) -> AbstractContextManager[None]:
        """A span around the work on a message; what is noted meanwhile in the same task is about it."""

    def child(
        self, name: str, kind: Kind, attributes: Attributes, *, asked: str = ""
    ) -> AbstractContextManager[Span]:
        """A part of the present work. An exception that leaves it is its error.

        Args:
            asked: a text that goes into it, told as far as contents may be.
        """

    def received(self, tenant: str, body: BaseModel) -> None:
        """What the present work is about."""

    def note(self, attributes: Attributes) -> None:
        """Of the present work."""

    def wrote(self, event: Event) -> None:
        """The present work put this on an answer log."""

    def failed(self, error: Exception) -> None:
        """The present work ran into this."""

    def settled(self, outcome: Outcome) -> None: ...

    def asked(self, tenant: str, query: Query, trace_parent: str) -> "Asked":
        """A question came in at this door."""


class Asked(Protocol):
    """The span around a whole question, seen from its door. It is told of nobody unless it is `close`d."""

    @property
    def trace_parent(self) -> str:
        """What the query is to carry."""

    @property
    def recording(self) -> bool: ...

    def first_text(self) -> None: ...

    def close(self, last: Event | None) -> None:
        """Args: last: the terminal event; None when it was not seen."""


@dataclass(frozen=True)
class PassedOn:
    """A question of which this process makes no span."""

    trace_parent: str
    recording: bool = False

    def first_text(self) -> None: ...

    def close(self, last: Event | None) -> None: ...


class _NoSpan:
    trace_parent = ""

    def note(self, attributes: Attributes) -> None: ...

    def mark(self, event: str) -> None: ...


_NOTHING: AbstractContextManager[None] = nullcontext()
_NO_CHILD: AbstractContextManager[Span] = nullcontext(_NoSpan())


class NoSpans:
    """Traces are off."""

    recording = False

    def own_trace_parent(self, arrival: Arrival) -> str:
        return ""

    def working(self, arrival: Arrival) -> AbstractContextManager[None]:
        return _NOTHING

    def child(
        self, name: str, kind: Kind, attributes: Attributes, *, asked: str = ""
    ) -> AbstractContextManager[Span]:
        return _NO_CHILD

    def received(self, tenant: str, body: BaseModel) -> None: ...

    def note(self, attributes: Attributes) -> None: ...

    def wrote(self, event: Event) -> None: ...

    def failed(self, error: Exception) -> None: ...

    def settled(self, outcome: Outcome) -> None: ...

    def asked(self, tenant: str, query: Query, trace_parent: str) -> Asked:
        return PassedOn(trace_parent or new_trace_parent())


def new_trace_parent(*, sampled: bool = True) -> str:
    """https://www.w3.org/TR/trace-context/#traceparent-header"""
    # Unique is enough, and the system's generator lets go of the interpreter for each call.
    trace_id, span_id = random.getrandbits(128) or 1, random.getrandbits(64) or 1
    return f"00-{trace_id:032x}-{span_id:016x}-{sampled:02d}"


def derived_trace_id(arrival: Arrival) -> str:
    """A trace id for a query whose publisher gave none."""
    return _hashed(f"{arrival.stream}:{arrival.sequence}:{arrival.stored_ms}")[:32]


def _hashed(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
