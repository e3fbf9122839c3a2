"""Scales workers of the local stack by the ScaledObjects that ship, as KEDA and the HPA would."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import structlog

from askfleet.local.pool import ColdStart, Pool
from askfleet.local.supervisor import Process, Supervisor
from askfleet.scaling import Autoscaler, Decision, ScaledObject, read_scaled_objects
from askfleet.scaling.formula import FormulaError
from askfleet.scaling.monitor import TIMEOUT_S, QueueMonitor
from askfleet.scaling.record import Look, Recorder, Replica, ReplicaState, Run
from bus.connection import Bus, connect
from bus.presence import gather_presences
from bus.scaling import ScalingDecision, ScalingReport, ScalingState, answer_scaling
from bus.settings import BusSettings
from contracts.errors import AskfleetError, DependencyUnavailable, Misconfigured

log = structlog.get_logger(__name__)

RETRY_S = 1.0
KEPT_DECISIONS = 20

SCALED_OBJECTS = Path(__file__).parents[2] / "deploy/keda/base/scaledobjects"
"""In a checkout; an installed package has none."""


@dataclass(frozen=True)
class Bounds:
    """Replicas on this machine, instead of the ScaledObject's own range; `most` never above its maximum."""

    least: int
    most: int

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most or self.most < 1:
            raise Misconfigured(
                f"{self.least}:{self.most} is no range of replicas.", remedy="Write it as 0:4 or 1:2."
            )


@dataclass(frozen=True)
class ScalingOptions:
    """What is scaled here, and how fast time runs for the rules.

    Args:
        bounds: by worker; workers that are not in it keep their number.
        folder: of the ScaledObjects.
        speed: seconds of the rules' clock in a real second, for demos and tests.
        node_s: simulated, on the rules' clock: how long a new machine would take.
        model_s: simulated, on the rules' clock: how long the model would take to load.
        model: the generation queue that the workers serve.
        record: JSON lines of the timeline; what the file held is replaced.
    """

    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    folder: Path = SCALED_OBJECTS
    speed: float = 1.0
    node_s: float = 0.0
    model_s: float = 0.0
    model: str = "default"
    record: Path | None = None

    def scaled_objects(self) -> dict[str, ScaledObject]:
        """By worker, bounded. Raises Misconfigured."""
        if self.bounds and not self.folder.is_dir():
            raise Misconfigured(
                f"There is no folder {self.folder}.",
                remedy="Give --scaled-objects DIR, as with deploy/keda/base/scaledobjects of a checkout.",
            )
        known = {found.target: found for found in read_scaled_objects(self.folder)} if self.bounds else {}
        found = {}
        for worker, bounds in self.bounds.items():
            target = f"generation-{self.model}" if worker == "generation" else worker
            if target not in known:
                raise Misconfigured(
                    f"{self.folder} holds no ScaledObject of {target!r}.",
                    remedy=f"It holds those of {', '.join(sorted(known))}.",
                )
            found[worker] = _bounded(known[target], bounds)
        return found

    @property
    def cold_start(self) -> ColdStart:
        return ColdStart(node_s=self.node_s / self.speed, model_s=self.model_s / self.speed)


def _bounded(shipped: ScaledObject, bounds: Bounds) -> ScaledObject:
    most = min(bounds.most, shipped.max_replicas)
    return replace(shipped, min_replicas=min(bounds.least, most), max_replicas=most, idle_replicas=None)


@dataclass
class _Scaled:
    worker: str
    pool: Pool
    autoscaler: Autoscaler
    decision: Decision | None = None
    problem: str = ""

    @property
    def scaled_object(self) -> ScaledObject:
        return self.autoscaler.scaled_object


class LocalScaling:
    """`run` until cancelled.

    Args:
        make: the process of a worker and a number from 1 on.
        on_report: told of the state after each look.

    Raises:
        Misconfigured: a ScaledObject can't be read, or is not there.
    """

    def __init__(
        self,
        options: ScalingOptions,
        supervisor: Supervisor,
        make: Callable[[str, int], Process],
        *,
        on_report: Callable[[ScalingReport], None],
    ) -> None:
        self._options = options
        self._on_report = on_report
        self._bus: Bus | None = None
        self._recorder = Recorder(None)
        self._started_s = 0.0
        self._started_at = datetime.now(UTC)
        self._decisions: deque[ScalingDecision] = deque(maxlen=KEPT_DECISIONS)
        self._scaled = [
            _Scaled(
                worker,
                Pool(
                    supervisor,
                    partial(make, worker),
                    cold_start=options.cold_start,
                    busy=self._in_work,
                    on_state=partial(self._note, found.name),
                ),
                Autoscaler(found),
            )
            for worker, found in options.scaled_objects().items()
        ]

    def first(self) -> list[Process]:
        """The replicas to start with: the minimum of each."""
        return [
            process
            for scaled in self._scaled
            for process in scaled.pool.first(scaled.scaled_object.min_replicas)
        ]

    async def run(self, settings: BusSettings, monitor_url: str) -> None:
        """Once the first replicas are ready.

        Args:
            settings: as an operator, who may ask the workers what they have in work.
            monitor_url: nats-server's monitoring port.
        """
        self._started_s = asyncio.get_running_loop().time()
        self._started_at = datetime.now(UTC)
        self._recorder = Recorder(self._options.record)
        self._recorder.write(self._head())
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
                monitor = QueueMonitor(client, monitor_url)
                while True:
                    await self._look_connected(settings, monitor)
        finally:
            await asyncio.gather(*(scaled.pool.close() for scaled in self._scaled))
            self._recorder.close()

    async def _look_connected(self, settings: BusSettings, monitor: QueueMonitor) -> None:
        try:
            async with (
                connect(settings, name="askfleet-scaling") as self._bus,
                answer_scaling(self._bus, self._report),
            ):
                await self._look_forever(monitor)
        except AskfleetError as error:
            log.warning("scaling waits for NATS", action="scaling.waits", error=str(error))
            await asyncio.sleep(RETRY_S)

    async def _look_forever(self, monitor: QueueMonitor) -> None:
        while True:
            try:
                await self._look(monitor)
            except Exception:
                log.exception("a look at the queues failed, the next one follows", action="scaling.failed")
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(self._rest_s())

    def _now_s(self) -> float:
        """On the rules' clock."""
        return (asyncio.get_running_loop().time() - self._started_s) * self._options.speed

    def _note(self, scaled_object: str, name: str, state: ReplicaState) -> None:
        self._recorder.write(
            Replica(t=round(self._now_s(), 3), scaled_object=scaled_object, name=name, state=state)
        )

    async def _in_work(self) -> Mapping[int, int]:
        """Messages in work, by pid; empty while NATS is away."""
        if self._bus is None:
            return {}
        try:
            found = await gather_presences(self._bus)
        except DependencyUnavailable:
            return {}
        return {presence.pid: presence.in_work for presence in found}

    async def _look(self, monitor: QueueMonitor) -> None:
        looked = [self._look_at(scaled, monitor) for scaled in self._scaled if self._is_due(scaled)]
        await asyncio.gather(*looked)
        if looked:
            self._on_report(self._report())

    def _is_due(self, scaled: _Scaled) -> bool:
        return self._now_s() >= scaled.autoscaler.next_s

    def _rest_s(self) -> float:
        due_s = min(scaled.autoscaler.next_s for scaled in self._scaled)
        return max(0.0, (due_s - self._now_s()) / self._options.speed)

    async def _look_at(self, scaled: _Scaled, monitor: QueueMonitor) -> None:
        now_s = self._now_s()
        lags: Mapping[str, int] | None = None
        if scaled.autoscaler.reads_at(now_s):
            lags = await self._lags(scaled, monitor)
        before = scaled.pool.wanted
        metric = scaled.scaled_object.metric(lags) if lags is not None else None
        decision = scaled.autoscaler.step(now_s, metric, before)
        scaled.decision = decision
        self._recorder.write(self._line(scaled, decision, now_s, lags or {}))
        if decision.desired != before:
            self._remember(scaled, decision, before)
            log.info(
                "scaled",
                action="scaling.decision",
                worker=scaled.worker,
                desired=decision.desired,
                before=before,
                metric=decision.metric,
                reason=decision.reason,
            )
            await scaled.pool.resize(decision.desired)

    def _remember(self, scaled: _Scaled, decision: Decision, before: int) -> None:
        self._decisions.appendleft(
            ScalingDecision(
                at=datetime.now(UTC).timestamp(),
                scaled_object=scaled.scaled_object.name,
                before=before,
                desired=decision.desired,
                metric=decision.metric,
                reason=decision.reason,
            )
        )

    async def _lags(self, scaled: _Scaled, monitor: QueueMonitor) -> Mapping[str, int] | None:
        try:
            lags = await monitor.lags(scaled.scaled_object.triggers)
            scaled.scaled_object.metric(lags)
        except (DependencyUnavailable, FormulaError) as error:
            if not scaled.problem:
                log.warning(
                    "the queue can't be read, the fallback holds",
                    action="scaling.metric_failed",
                    worker=scaled.worker,
                    error=str(error),
                )
            scaled.problem = str(error)
            return None
        scaled.problem = ""
        return lags

    def _line(self, scaled: _Scaled, decision: Decision, now_s: float, lags: Mapping[str, int]) -> Look:
        pool = scaled.pool
        return Look(
            t=round(now_s, 3),
            scaled_object=scaled.scaled_object.name,
            metric=decision.metric,
            lags=dict(lags),
            desired=decision.desired,
            actual=pool.ready,
            starting=pool.wanted - pool.ready,
            draining=pool.draining,
            reason=decision.reason,
        )

    def _head(self) -> Run:
        objects = [scaled.scaled_object for scaled in self._scaled]
        return Run(
            started_at=self._started_at.isoformat(),
            speed=self._options.speed,
            node_s=self._options.node_s,
            model_s=self._options.model_s,
            concurrency=0,
            min_replicas={found.name: found.min_replicas for found in objects},
            max_replicas={found.name: found.max_replicas for found in objects},
        )

    def _report(self) -> ScalingReport:
        return ScalingReport(
            at=datetime.now(UTC).timestamp(),
            speed=self._options.speed,
            node_s=self._options.node_s,
            model_s=self._options.model_s,
            states=tuple(self._state(scaled) for scaled in self._scaled),
            decisions=tuple(self._decisions),
        )

    def _state(self, scaled: _Scaled) -> ScalingState:
        found, pool, decision = scaled.scaled_object, scaled.pool, scaled.decision
        since_s = decision.since_s if decision is not None else 0.0
        return ScalingState(
            scaled_object=found.name,
            worker=scaled.worker,
            metric=decision.metric if decision is not None else None,
            target_value=found.target_value,
            desired=pool.wanted,
            ready=pool.ready,
            starting=max(0, pool.wanted - pool.ready),
            draining=pool.draining,
            least=found.min_replicas,
            most=found.max_replicas,
            reason=decision.reason if decision is not None else "",
            since=self._started_at.timestamp() + since_s / self._options.speed,
            problem=scaled.problem,
        )
