"""A spike on a local stack that scales generation from nothing and back, measured, judged and drawn.

    python -m askfleet.spike --record docs/images/scaling-spike.jsonl --picture docs/images/scaling-spike.png

The engine is simulated (8 s an answer, 64 at once), as are the node and the model of each replica; streams,
rules, processes and clients are real. KEDA's clock runs 60 times as fast as ours, so that its cooldown of ten
minutes takes ten seconds; all times in the record and in the picture are on that clock.
"""

import argparse
import asyncio
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import uvloop
import yaml

from askfleet.local.child import tail
from askfleet.local.state import StateFolder
from askfleet.logs import configure_logs
from askfleet.scaling.record import Question, Timeline, Verdict, read_timeline, write_timeline
from askfleet.spike_picture import draw
from bus.connection import connect
from bus.scaling import ScalingReport
from bus.stored import read_all
from bus.topology import ANSWERS
from contracts import Evidence, Route, decode_event
from contracts.errors import AskfleetError, DependencyUnavailable
from loadgen import corpus
from loadgen.engine_journal import EngineJournal
from loadgen.local_stack import TENANT, LocalStack, local_stack
from loadgen.recording import Recording, read_recording
from loadgen.scenario import Questions, Scenario, TenantShare
from loadgen.scenario import Spike as SpikeOfArrivals

POLL_S = 0.1


@dataclass(frozen=True)
class Spike:
    """What is asked of the stack; times are real seconds unless they are called simulated.

    Args:
        quiet_per_s: questions a second before and after the spike.
        peak_per_s: in the spike.
        peak_s: how long it lasts.
        speed: seconds of KEDA's clock in a real second.
        node_s: simulated, on KEDA's clock.
        model_s: simulated, on KEDA's clock.
        concurrency: answers at once in one replica.
        interval_ms: simulated, between two of the 8 tokens of an answer.
    """

    quiet_per_s: float = 2.0
    peak_per_s: float = 25.0
    quiet_s: float = 2.0
    peak_s: float = 10.0
    most_replicas: int = 4
    speed: float = 60.0
    node_s: float = 60.0
    model_s: float = 45.0
    concurrency: int = 64
    interval_ms: float = 1_000.0

    @property
    def seconds(self) -> float:
        return self.quiet_s + self.peak_s + self.quiet_s

    def environment(self, journal: Path) -> dict[str, str]:
        return {
            "AF_ENGINE_KIND": "simulated",
            "AF_ENGINE_SIMULATED_FIRST_TOKEN_MS": str(self.interval_ms),
            "AF_ENGINE_SIMULATED_INTERVAL_MS": str(self.interval_ms),
            "AF_ENGINE_SIMULATED_TOKENS": "8",
            "AF_ENGINE_JOURNAL": str(journal),
            "AF_CONCURRENCY": str(self.concurrency),
            "AF_MIN_CARRIED": "0.01",
        }

    def arguments(self, record: Path) -> list[str]:
        scaling = {
            "--scale": f"generation=0:{self.most_replicas}",
            "--scaling-speed": f"{self.speed:g}",
            "--simulated-node-s": f"{self.node_s:g}",
            "--simulated-model-s": f"{self.model_s:g}",
            "--scaling-record": str(record),
        }
        return [
            "--workers",
            "sql=0",
            "--workers",
            "ops=0",
            *(part for pair in scaling.items() for part in pair),
        ]

    def scenario(self, questions: tuple[str, ...]) -> Scenario:
        return Scenario(
            seconds=self.seconds,
            arrivals=SpikeOfArrivals(
                rate=self.quiet_per_s, to=self.peak_per_s, at_s=self.quiet_s, for_s=self.peak_s
            ),
            questions=(Questions(texts=questions, route=Route.DOCUMENTS),),
            tenants=(TenantShare(name=TENANT),),
            deadline_s=120.0,
            grace_s=5.0,
        )


@dataclass(frozen=True)
class SpikeResult:
    """`judged`: the oracle's word on every query."""

    timeline: Timeline
    judged: Recording


def run_spike(spike: Spike, folder: Path, *, back_within_s: float = 60.0) -> SpikeResult:
    """On a stack of its own in `folder`; returns when no replica is left.

    Raises:
        DependencyUnavailable: the load run failed, or the stack did not come back to nothing in time.
    """
    record, journal = folder / "scaling.jsonl", folder / "journal"
    journal.mkdir(parents=True)
    with local_stack(
        spike.environment(journal),
        arguments=spike.arguments(record),
        tenants=(TENANT,),
        folder=folder / "stack",
    ) as stack:
        made = corpus.make(50)
        with _loop() as runner:
            runner.run(corpus.ingest(made, stack.operator, tenant=TENANT))
        judged = _load(spike.scenario(tuple(made.questions)), stack, folder)
        _until_nothing_runs(StateFolder(stack.folder), back_within_s)
        with _loop() as runner:
            arrivals = runner.run(_arrivals(stack))
    timeline = read_timeline(record)
    questions = _questions(timeline, arrivals, EngineJournal(journal))
    run = timeline.run.model_copy(update={"concurrency": spike.concurrency})
    return SpikeResult(Timeline(run, [*timeline.lines[1:], *questions, _verdict(judged)]), judged)


def _verdict(judged: Recording) -> Verdict:
    totals = judged.totals
    return Verdict(
        asked=totals.asked, done=totals.done, lost=totals.lost, broken_promises=len(judged.violations)
    )


def _load(scenario: Scenario, stack: LocalStack, folder: Path) -> Recording:
    """By `askfleet load run` in a process of its own. Raises DependencyUnavailable when it can't judge."""
    file, record, log = folder / "scenario.yaml", folder / "load.json", folder / "load.log"
    file.write_text(yaml.safe_dump(scenario.model_dump(mode="json")))
    command = [sys.executable, "-m", "askfleet.main", "load", "run", str(file), "--json", str(record)]
    command += ["--journal", str(folder / "journal"), "--state-dir", str(stack.folder)]
    with log.open("wb") as output:
        subprocess.run(command, stdout=output, stderr=output, check=False)
    if not record.exists():
        raise DependencyUnavailable(f"The load run left no record:\n{tail(log)}")
    return read_recording(record)


def _loop() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _until_nothing_runs(state: StateFolder, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        report = ScalingReport.model_validate_json(state.scaling.read_bytes())
        if all(found.desired + found.ready + found.draining == 0 for found in report.states):
            return
        time.sleep(POLL_S)
    raise DependencyUnavailable(f"After {within_s:g} s replicas are left: {report.states}")


async def _arrivals(stack: LocalStack) -> dict[str, int]:
    """When each question's evidence stood on its log, in epoch milliseconds: then it enters the queue."""
    found: dict[str, int] = {}
    async with connect(stack.operator, name="askfleet-spike") as bus:
        async for message in read_all(bus, ANSWERS.name, ANSWERS.subject):
            if isinstance(decode_event(message.body), Evidence):
                found[message.subject.rpartition(".")[2]] = message.at_ms
    return found


def _questions(timeline: Timeline, arrivals: dict[str, int], journal: EngineJournal) -> list[Question]:
    """Questions that were begun more than once count from the first time on."""
    journal.read()
    began_ms = datetime.fromisoformat(timeline.run.started_at).timestamp() * 1_000
    speed = timeline.run.speed / 1_000
    found = []
    for query_id, uses in journal.uses.items():
        if query_id in arrivals:
            arrived, first, last = arrivals[query_id], uses[0], uses[-1]
            found.append(
                Question(
                    t=round((arrived - began_ms) * speed, 3),
                    wait=round(max(0.0, (first.began - arrived) * speed), 3),
                    service=round(((last.ended or first.began) - first.began) * speed, 3),
                )
            )
    return found


def figures(timeline: Timeline) -> dict[str, object]:
    """The outcome in numbers; times in seconds of KEDA's clock."""
    waits = sorted(question.wait for question in timeline.questions)
    quantiles = statistics.quantiles(waits, n=20) if len(waits) > 1 else [0.0] * 19
    judged = timeline.verdict.model_dump(exclude={"kind"}) if timeline.verdict is not None else {}
    return {
        **judged,
        "most_waiting_or_in_work": max(look.metric or 0.0 for look in timeline.looks),
        "most_replicas": max(look.actual for look in timeline.looks),
        "wait_p50_s": round(quantiles[9], 1),
        "wait_p95_s": round(quantiles[18], 1),
        "speed": timeline.run.speed,
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m askfleet.spike", description=__doc__)
    parser.add_argument("--record", type=Path, required=True, help="JSON lines of the timeline")
    parser.add_argument("--picture", type=Path, help="PNG of queue, desired and actual replicas")
    parser.add_argument("--draw-only", action="store_true", help="tell and draw a record that is there")
    given = parser.parse_args(arguments)
    configure_logs(logging.WARNING)
    try:
        if given.draw_only:
            timeline = read_timeline(given.record)
        else:
            with tempfile.TemporaryDirectory(prefix="askfleet-spike-", ignore_cleanup_errors=True) as folder:
                timeline = run_spike(Spike(), Path(folder)).timeline
            write_timeline(given.record, timeline.lines)
        print(json.dumps(figures(timeline), indent=2))
    except AskfleetError as error:
        print(error, file=sys.stderr)
        return 2
    if given.picture is not None:
        draw(timeline, given.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
