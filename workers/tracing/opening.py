"""From settings to spans, and to a thread that carries them to the collector."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from typing import TYPE_CHECKING

from bus.spans import NoSpans, Spans
from contracts.errors import Misconfigured
from workers.shell.settings import WorkerSettings
from workers.tracing.content import Content

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from workers.tracing.spans import Ids

QUEUED_SPANS = 4096
"""Older spans give way to newer ones: some 400 answers that no collector took."""
BATCH_SPANS = 256
BATCH_DELAY_MS = 1_000
EXPORT_TIMEOUT_S = 5
LEAVE_WITHIN_S = 2.0
"""What a process that ends gives the collector for the last spans."""
MOST_ATTRIBUTES = 1_024
"""50 passages take 200; the library's own limit is 128."""


@asynccontextmanager
async def open_spans(settings: WorkerSettings, *, worker: str) -> AsyncIterator[Spans]:
    """No thread is started and nothing is imported where no collector is named.

    Opened in the worker itself, never before a fork: the thread would be missing in the child.

    Raises:
        Misconfigured: the endpoint is no address.
    """
    if not settings.trace_endpoint:
        yield NoSpans()
        return
    if not settings.trace_endpoint.startswith(("http://", "https://")):
        raise Misconfigured(
            f"AF_TRACE_ENDPOINT is {settings.trace_endpoint!r}.",
            remedy="Name an OTLP/HTTP collector, as http://127.0.0.1:6006 for Phoenix.",
        )
    from workers.tracing.spans import Ids, OtelSpans

    # What it says of a collector that is away comes once in 20 s; the retries in between are no news.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    ids = Ids()
    provider = _provider(settings, ids, worker)
    content = Content(settings.trace_content)
    try:
        yield OtelSpans(provider.get_tracer("askfleet"), ids, content, ratio=settings.trace_ratio)
    finally:
        # A collector that hangs holds `shutdown` for half a minute; the thread is left to end with us.
        leaving = threading.Thread(target=provider.shutdown, daemon=True, name="last spans")
        leaving.start()
        give_up = asyncio.get_running_loop().time() + LEAVE_WITHIN_S
        while leaving.is_alive() and asyncio.get_running_loop().time() < give_up:  # noqa: ASYNC110 (a thread)
            await asyncio.sleep(0.02)


def _provider(settings: WorkerSettings, ids: "Ids", worker: str) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    about = {
        "service.name": f"askfleet-{worker}",
        "service.version": metadata.version("askfleet"),
        "openinference.project.name": settings.trace_project,
    }
    provider = TracerProvider(
        resource=Resource.create(about),
        id_generator=ids,
        span_limits=SpanLimits(max_span_attributes=MOST_ATTRIBUTES),
        shutdown_on_exit=False,
    )
    address = f"{settings.trace_endpoint.rstrip('/')}/v1/traces"
    processor = BatchSpanProcessor(
        OTLPSpanExporter(address, timeout=EXPORT_TIMEOUT_S),
        max_queue_size=QUEUED_SPANS,
        max_export_batch_size=BATCH_SPANS,
        schedule_delay_millis=BATCH_DELAY_MS,
    )
    provider.add_span_processor(processor)
    return provider
