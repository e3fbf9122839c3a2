"""What a worker tells Prometheus; docs/metrics.md lists the names.

Each process has a registry of its own, fed by the events of `bus.vitals`. Times are in seconds. Where
OpenTelemetry has a name for a figure of a language model, it is that one in Prometheus' spelling.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bus.topology import STAGES
from bus.vitals import (
    Broken,
    Ended,
    Event,
    Generated,
    Outcome,
    Settled,
    Started,
    TurnedAway,
    Vitals,
    Written,
)

MOST_TENANTS = 50
"""So many get a label of their own, in order of appearance; those that come later share `other`."""
LAG_PERIOD_S = 0.1

_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0)


class Metrics:
    """The figures of one process, `page` is what a scrape gets."""

    def __init__(self, vitals: Vitals, *, worker: str) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(ProcessCollector(registry=None))
        self._registry.register(_Now(vitals))
        info = Gauge("askfleet_worker_info", "1; which worker it is", ["worker"], registry=self._registry)
        info.labels(worker).set(1)
        self._deliveries = _Deliveries(self._registry, worker)
        self._answers = _Answers(self._registry)
        self._engine = _EngineRequests(self._registry)
        self._lag = Histogram(
            "askfleet_event_loop_lag_seconds",
            "how late the event loop ran what was due",
            registry=self._registry,
            buckets=_QUICK,
        )
        self._started = Gauge(
            "askfleet_start_seconds",
            "what the start of this process took: process, start (the whole of the engine) and its parts",
            ["phase"],
            registry=self._registry,
        )
        self._turned_away = Counter(
            "askfleet_turned_away", "questions refused at the door", ["reason"], registry=self._registry
        )

    def register(self, collector: Collector) -> None:
        """Figures of the worker's own."""
        self._registry.register(collector)

    def lag(self, seconds: float) -> None:
        self._lag.observe(seconds)

    def page(self) -> bytes:
        return generate_latest(self._registry)

    def observe(self, event: Event) -> None:
        match event:
            case Settled():
                self._deliveries.settled(event)
            case Ended():
                self._answers.ended(event)
            case Written():
                self._answers.written(event)
            case Generated():
                self._engine.generated(event)
            case TurnedAway():
                self._turned_away.labels(event.code).inc()
            case Started():
                self._started.labels(event.phase).set(event.seconds)
            case Broken():
                pass  # the log says it; nobody scrapes this process again


class _Deliveries:
    """Counts of the worker's own stage begin at 0, so that the first fault is a rise."""

    def __init__(self, registry: CollectorRegistry, worker: str) -> None:
        self._all = Counter(
            "askfleet_deliveries", "deliveries by how they ended", ["stage", "outcome"], registry=registry
        )
        self._again = Counter(
            "askfleet_redeliveries", "deliveries that were not the first", ["stage"], registry=registry
        )
        self._queue = Histogram(
            "askfleet_queue_seconds",
            "from when a message was stored to its first delivery",
            ["stage"],
            registry=registry,
            buckets=_SLOW,
        )
        self._service = Histogram(
            "askfleet_service_seconds",
            "from a delivery to its settlement",
            ["stage"],
            registry=registry,
            buckets=_SLOW,
        )

        if worker in STAGES:
            self._again.labels(worker)
            for outcome in Outcome:
                self._all.labels(worker, outcome.value)

    def settled(self, event: Settled) -> None:
        self._all.labels(event.stage, event.outcome.value).inc()
        self._service.labels(event.stage).observe(event.worked_s)
        if event.attempt == 1:
            self._queue.labels(event.stage).observe(max(0.0, event.waited_s))
        else:
            self._again.labels(event.stage).inc()


class _Answers:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._tenants: set[str] = set()
        self._ended = Counter(
            "askfleet_answers_ended",
            "terminal events that this process wrote; `reason` is the code of a failure",
            ["type", "reason"],
            registry=registry,
        )
        self._first_text = Histogram(
            "askfleet_answer_first_text_seconds",
            "from the acceptance of a question to the first text of its answer",
            ["route"],
            registry=registry,
            buckets=_SLOW,
        )
        self._whole = Histogram(
            "askfleet_answer_seconds",
            "from the acceptance of a question to the end of its answer",
            ["route"],
            registry=registry,
            buckets=_SLOW,
        )
        self._by_tenant = Counter(
            "askfleet_tenant_answers", "answers written to their end", ["tenant"], registry=registry
        )

    def ended(self, event: Ended) -> None:
        self._ended.labels(event.type, event.code).inc()

    def written(self, event: Written) -> None:
        self._first_text.labels(event.route).observe(event.first_text_s)
        self._whole.labels(event.route).observe(event.whole_s)
        self._by_tenant.labels(self._bounded(event.tenant)).inc()

    def _bounded(self, tenant: str) -> str:
        if len(self._tenants) < MOST_TENANTS:
            self._tenants.add(tenant)
        return tenant if tenant in self._tenants else "other"


class _EngineRequests:
    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["gen_ai_request_model"]
        self._first_token = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "from a request to the engine to its first token",
            labels,
            registry=registry,
            buckets=_SLOW,
        )
        self._token = Histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "mean time from one token of a request to the next",
            labels,
            registry=registry,
            buckets=_TOKEN,
        )
        self._request = Histogram(
            "gen_ai_server_request_duration_seconds",
            "a whole request to the engine",
            labels,
            registry=registry,
            buckets=_SLOW,
        )
        self._tokens = Counter(
            "askfleet_tokens",
            "tokens by kind: input, cached (of the input: what the engine's cache held), output",
            [*labels, "gen_ai_token_type"],
            registry=registry,
        )

    def generated(self, event: Generated) -> None:
        self._first_token.labels(event.model).observe(event.first_token_s)
        self._request.labels(event.model).observe(event.whole_s)
        if event.token_s:
            self._token.labels(event.model).observe(event.token_s)
        self._tokens.labels(event.model, "input").inc(event.prompt_tokens)
        self._tokens.labels(event.model, "cached").inc(event.cached_tokens)
        self._tokens.labels(event.model, "output").inc(event.completion_tokens)


class _Now(Collector):
    """What is asked for at each scrape: slots, work in hand, and the counts that a worker added."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("askfleet_slots", "messages worked on at once", self._vitals.concurrency)
        yield GaugeMetricFamily("askfleet_in_work", "messages in work", self._vitals.in_work)
        for name, number in self._vitals.counts.items():
            yield GaugeMetricFamily(f"askfleet_{name}", f"{name.replace('_', ' ')} now", number)
        for name, tally in self._vitals.tallies.items():
            yield CounterMetricFamily(f"askfleet_{name}", f"{name.replace('_', ' ')} so far", tally.number)


@asynccontextmanager
async def open_metrics(vitals: Vitals, *, worker: str) -> AsyncIterator[Metrics]:
    """Collect while the context is open; also looks ten times a second how late the loop is."""
    metrics = Metrics(vitals, worker=worker)
    vitals.observers.append(metrics.observe)
    task = asyncio.create_task(_measure_lag(metrics))
    try:
        yield metrics
    finally:
        vitals.observers.remove(metrics.observe)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _measure_lag(metrics: Metrics) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + LAG_PERIOD_S
        await asyncio.sleep(LAG_PERIOD_S)
        metrics.lag(max(0.0, clock() - due))
