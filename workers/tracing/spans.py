"""Spans of OpenTelemetry. Imported only in a process that traces: the library takes a quarter of a second."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan
from pydantic import BaseModel

from bus.envelope import now_ms
from bus.spans import (
    Arrival,
    Asked,
    Attributes,
    Kind,
    NoSpans,
    PassedOn,
    Span,
    derived_trace_id,
    new_trace_parent,
)
from bus.topology import RETRIEVE, ROUTE, SQL
from bus.vitals import Outcome
from contracts import Delta, Event, Query
from contracts.errors import AskfleetError
from workers.tracing import attributes as told
from workers.tracing.content import Content

KIND = "openinference.span.kind"
WAIT_SHOWN_MS = 10
"""A message that waited as long has a span of its own for that."""
MS = 1_000_000
"""Nanoseconds."""

_KINDS = {RETRIEVE.stage: Kind.RETRIEVER, SQL.stage: Kind.TOOL}
_FINE = frozenset({Outcome.DONE, Outcome.OBSOLETE, Outcome.FENCED})


class Ids(RandomIdGenerator):
    """Random ids, but for a span whose id is known beforehand."""

    trace_id = 0
    span_id = 0

    def generate_trace_id(self) -> int:
        chosen, self.trace_id = self.trace_id, 0
        return chosen or super().generate_trace_id()

    def generate_span_id(self) -> int:
        chosen, self.span_id = self.span_id, 0
        return chosen or super().generate_span_id()


@dataclass
class _Work:
    """The span around what the present task works on."""

    span: OtelSpan
    context: Context
    began: float
    text: bool = False


_NO_CHILD: AbstractContextManager[Span] = NoSpans().child("", Kind.CHAIN, {})


class OtelSpans:
    """Spans for queries whose trace is sampled; for the others it costs a look at a flag."""

    def __init__(self, tracer: Tracer, ids: Ids, content: Content, *, ratio: float) -> None:
        self._tracer = tracer
        self._ids = ids
        self._content = content
        self._ratio = ratio
        self._work: ContextVar[_Work | None] = ContextVar("work", default=None)

    @property
    def recording(self) -> bool:
        return self._work.get() is not None

    def own_trace_parent(self, arrival: Arrival) -> str:
        """Only a query begins a trace; its first attempt at the router is the root."""
        if arrival.stage != ROUTE.stage:
            return ""
        trace_id = derived_trace_id(arrival)
        return f"00-{trace_id}-{arrival.span_id(1)}-{self._sampled(trace_id):02d}"

    def working(self, arrival: Arrival) -> AbstractContextManager[None]:
        parent = parsed(arrival.trace_parent)
        if parent is None or not parent.trace_flags.sampled:
            return nullcontext()
        return self._working(arrival, parent)

    @contextmanager
    def _working(self, arrival: Arrival, parent: SpanContext) -> Iterator[None]:
        work = self._begin(arrival, parent)
        token = self._work.set(work)
        try:
            yield
        finally:
            self._work.reset(token)
            work.span.end()

    def _begin(self, arrival: Arrival, parent: SpanContext) -> _Work:
        span_id = int(arrival.span_id(arrival.attempt), 16)
        is_root = span_id == parent.span_id
        above = Context() if is_root else set_span_in_context(NonRecordingSpan(parent), Context())
        waited_ms = max(0, now_ms() - arrival.stored_ms)
        found = {
            KIND: _KINDS.get(arrival.stage, Kind.CHAIN).value,
            "askfleet.stage": arrival.stage,
            "askfleet.attempt": arrival.attempt,
            "askfleet.waited_ms": waited_ms,
        }
        if not is_root and arrival.attempt == 1 and waited_ms >= WAIT_SHOWN_MS:
            self._waited(arrival, above)
        self._ids.span_id = span_id
        if is_root:
            self._ids.trace_id = parent.trace_id
        links = [_earlier(arrival, parent)] if arrival.attempt > 1 else []
        span = self._tracer.start_span(
            arrival.stage, above, kind=SpanKind.CONSUMER, attributes=found, links=links
        )
        return _Work(span, set_span_in_context(span, Context()), time.perf_counter())

    def _waited(self, arrival: Arrival, above: Context) -> None:
        began = arrival.stored_ms * MS
        found = {KIND: Kind.CHAIN.value, "askfleet.stage": arrival.stage}
        span = self._tracer.start_span(f"wait for {arrival.stage}", above, attributes=found, start_time=began)
        span.end()

    @contextmanager
    def _child(self, work: _Work, name: str, found: Attributes) -> Iterator[Span]:
        span = self._tracer.start_span(name, work.context, kind=SpanKind.CLIENT, attributes=found)
        try:
            yield _Child(span)
        except Exception as error:
            _fault(span, error)
            raise
        except BaseException as error:  # a task that is cancelled, a generator that is closed
            span.set_attribute("askfleet.cut_off", type(error).__name__)
            raise
        finally:
            span.end()

    def child(
        self, name: str, kind: Kind, attributes: Attributes, *, asked: str = ""
    ) -> AbstractContextManager[Span]:
        work = self._work.get()
        if work is None:
            return _NO_CHILD
        given = told.given(asked, self._content) if asked else {}
        return self._child(work, name, {KIND: kind.value, **attributes, **given})

    def received(self, tenant: str, body: BaseModel) -> None:
        if self.recording:
            self.note(told.of_body(tenant, body, self._content))

    def note(self, attributes: Attributes) -> None:
        work = self._work.get()
        if work is not None:
            work.span.set_attributes(attributes)

    def wrote(self, event: Event) -> None:
        work = self._work.get()
        if work is None:
            return
        if not isinstance(event, Delta):
            work.span.set_attributes(told.of_event(event, self._content))
        elif not work.text:
            work.text = True
            work.span.add_event("first text")
            work.span.set_attribute("askfleet.first_text_ms", _since_ms(work.began))

    def failed(self, error: Exception) -> None:
        work = self._work.get()
        if work is not None:
            _fault(work.span, error)

    def settled(self, outcome: Outcome) -> None:
        work = self._work.get()
        if work is None:
            return
        work.span.set_attribute("askfleet.outcome", outcome.value)
        if outcome in _FINE:
            work.span.set_status(Status(StatusCode.OK))

    def asked(self, tenant: str, query: Query, trace_parent: str) -> Asked:
        above = Context()
        if trace_parent:
            parent = parsed(trace_parent)
            if parent is None or not parent.trace_flags.sampled:
                return PassedOn(trace_parent)
            above = set_span_in_context(NonRecordingSpan(parent), above)
        else:
            made = new_trace_parent()
            trace_id = made.split("-")[1]
            if not self._sampled(trace_id):
                return PassedOn(new_trace_parent(sampled=False))
            self._ids.trace_id = int(trace_id, 16)
        found = {KIND: Kind.CHAIN.value, **told.of_body(tenant, query, self._content)}
        return _Question(
            self._tracer.start_span("question", above, kind=SpanKind.SERVER, attributes=found), self._content
        )

    def _sampled(self, trace_id: str) -> bool:
        """As OpenTelemetry's own sampler by ratio does it, with the lower half of the trace id."""
        return int(trace_id[16:], 16) < self._ratio * 2**64


class _Child:
    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    @property
    def trace_parent(self) -> str:
        return written(self._span.get_span_context())

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def mark(self, event: str) -> None:
        self._span.add_event(event)


class _Question:
    """The root of a trace, or what stands right below the caller's own span."""

    recording = True

    def __init__(self, span: OtelSpan, content: Content) -> None:
        self._span = span
        self._content = content
        self._began = time.perf_counter()
        self.trace_parent = written(span.get_span_context())

    def first_text(self) -> None:
        self._span.add_event("first text")
        self._span.set_attribute("askfleet.first_text_ms", _since_ms(self._began))

    def close(self, last: Event | None) -> None:
        end = told.ending(last, self._content)
        self._span.set_attributes(end.attributes)
        if end.problem is not None:
            self._span.set_status(Status(StatusCode.ERROR, end.problem.title))
        elif last is not None:
            self._span.set_status(Status(StatusCode.OK))
        self._span.end()


def parsed(trace_parent: str) -> SpanContext | None:
    """None where it is empty or can't be read."""
    parts = trace_parent.split("-")
    try:
        trace_id, span_id, flags = (int(part, 16) for part in parts[1:4])
    except ValueError:
        return None
    found = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return found if found.is_valid else None


def written(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _earlier(arrival: Arrival, parent: SpanContext) -> Link:
    before = int(arrival.span_id(arrival.attempt - 1), 16)
    context = SpanContext(parent.trace_id, before, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return Link(context, {"askfleet.attempt": arrival.attempt - 1})


def _fault(span: OtelSpan, error: Exception) -> None:
    """Texts of errors may quote a document or a row, so that only ours are told, by code and title."""
    if isinstance(error, AskfleetError):
        span.set_attributes(told.problem(error.problem()))
        span.set_status(Status(StatusCode.ERROR, error.title))
    else:
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))


def _since_ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)
