"""The queues as Prometheus reads them, from the overview: how much waits, how old it is, what died."""

from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bus.overview import ConsumerView, Overview, StageView


class QueueGauges(Collector):
    """`latest` gives the last overview that was read, None as long as there is none.

    `askfleet_overview_at_seconds` tells how old the numbers are: a scrape never waits for NATS.
    """

    def __init__(self, latest: Callable[[], Overview | None]) -> None:
        self._latest = latest

    def collect(self) -> Iterable[Metric]:
        overview = self._latest()
        if overview is None:
            return
        at = GaugeMetricFamily("askfleet_overview_at_seconds", "when the queues were read, epoch")
        at.add_metric([], overview.at / 1000)
        problems = GaugeMetricFamily("askfleet_overview_problems", "parts that could not be read")
        problems.add_metric([], len(overview.problems))
        yield at
        yield problems
        yield from _of_consumers(overview.stages)
        yield from _of_stages(overview.stages)
        yield _dead(overview)
        yield _workers(overview)
        kept = GaugeMetricFamily("askfleet_answers_kept", "answers whose log is kept")
        kept.add_metric([], overview.answers.answers)
        yield kept


def _of_consumers(stages: Iterable[StageView]) -> Iterable[Metric]:
    figures: dict[str, tuple[str, Callable[[ConsumerView], float]]] = {
        "askfleet_stage_waiting": ("messages that wait", lambda view: view.waiting),
        "askfleet_stage_in_work": ("messages delivered and not settled", lambda view: view.in_work),
        "askfleet_stage_redelivered": ("of those in work: delivered before", lambda view: view.redelivered),
        "askfleet_stage_oldest_age_seconds": ("age of what waits longest", lambda view: view.oldest_age_s),
    }
    for name, (text, of) in figures.items():
        family = GaugeMetricFamily(name, text, labels=("stage", "consumer", "lane"))
        for stage in stages:
            for consumer in stage.consumers:
                if not consumer.problem:
                    family.add_metric([stage.stage, consumer.durable, consumer.lane], of(consumer))
        yield family


def _of_stages(stages: Iterable[StageView]) -> Iterable[Metric]:
    figures: dict[str, tuple[str, Callable[[StageView], float]]] = {
        "askfleet_stage_workers": ("worker processes that answer", lambda view: view.workers),
        "askfleet_stage_stored": ("messages of its stream", lambda view: view.stored),
        "askfleet_stage_limit": ("messages that its stream takes", lambda view: view.limit),
    }
    for name, (text, of) in figures.items():
        family = GaugeMetricFamily(name, text, labels=("stage",))
        for stage in stages:
            if not stage.problem:
                family.add_metric([stage.stage], of(stage))
        yield family


def _dead(overview: Overview) -> Metric:
    family = GaugeMetricFamily("askfleet_dead_letters", "dead letters that are kept", labels=("stage",))
    for view in overview.stages:
        family.add_metric([view.stage], view.dead)
    return family


def _workers(overview: Overview) -> Metric:
    family = GaugeMetricFamily("askfleet_workers", "processes by kind", labels=("kind", "ready"))
    counts = Counter((worker.kind, str(worker.ready).lower()) for worker in overview.workers)
    for labels, number in sorted(counts.items()):
        family.add_metric(labels, number)
    return family
