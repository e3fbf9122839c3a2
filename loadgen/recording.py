"""The record of a load run: one JSON file, written by `askfleet load`, read by its reports and comparisons.

Times `t` are seconds since the start of the run.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from contracts.errors import Misconfigured

SCHEMA: Literal["askfleet-load/1"] = "askfleet-load/1"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Latency(_Record):
    """Times in milliseconds; all are 0 where nothing was counted.

    `histogram` holds microseconds as HdrHistogram's compressed V2 encoding in base64, so that runs can be
    added and compared at any percentile.
    """

    count: int = 0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    worst: float = 0.0
    histogram: str = ""


class Totals(_Record):
    """Of queries, unless said otherwise. A query counts once: in refused, unsettled, done, failed, cancelled,
    lost or stuck."""

    asked: int = 0
    accepted: int = Field(default=0, description="the door said so: a 200, or an acknowledged publish")
    refused: int = Field(default=0, description="429, 503 or a refused publish")
    unsettled: int = Field(
        default=0, description="no door said anything until the deadline, and no end was seen"
    )
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: int = Field(default=0, description="accepted, and its log is gone or never was")
    stuck: int = Field(default=0, description="accepted, and no end by the deadline and the grace")
    resumed: int = Field(default=0, description="read on over another connection at least once")
    disconnected: int = Field(default=0, description="left on purpose, as the scenario asked")
    slow: int = Field(default=0, description="read at a bounded rate, as the scenario asked")
    asked_again: int = Field(default=0, description="asked more than once with the same id")
    lost_connections: int = Field(default=0, description="connections that broke without being asked to")
    tokens: int = Field(default=0, description="in all answers together")


class Second(_Record):
    """What happened in one second of the run; percentiles are None where nothing was measured."""

    t: float
    started: int = 0
    ended: int = 0
    refused: int = 0
    in_flight: int = Field(default=0, description="at its end")
    tokens: int = 0
    first_token_p50_ms: float | None = None
    first_token_p90_ms: float | None = None
    first_token_p99_ms: float | None = None
    whole_p50_ms: float | None = None
    whole_p99_ms: float | None = None


class StageSample(_Record):
    """One stage, all its lanes together."""

    t: float
    stage: str
    waiting: int = 0
    in_work: int = 0
    oldest_age_s: float = 0.0
    redelivered: int = 0
    dead: int = 0


class ProcessSample(_Record):
    """`cpu_s` counts since the process began: a restart has another pid and begins again."""

    t: float
    name: str
    pid: int
    rss_mib: float
    cpu_s: float


class Fault(_Record):
    """Something that was done to the system on purpose. `until` equals `t` for a moment, as a SIGKILL is."""

    t: float
    until: float
    kind: str
    target: str = ""
    note: str = ""


class BrokenPromise(_Record):
    """`line` is the name in `loadgen.promises`; `log` has the query's events, one JSON each."""

    query_id: str
    tenant: str
    line: str
    detail: str
    log: tuple[str, ...] = ()


class Generator(_Record):
    """How well the load generator itself kept up.

    `late` is from the time at which a query should have been sent to the time at which its client began: the
    latencies include it.
    """

    late: Latency = Latency()
    cpu_s: float = 0.0
    cpu_ms_per_answer: float = 0.0
    rss_mib: float = 0.0


class Recording(_Record):
    """`latencies` by measure: `accepted`, `first_token` and `whole` count from the scheduled arrival,
    `token_interval` from one event with text to the next, `resume` from the request to its first event.

    `by_route` and `by_tenant` have the same measures by the route that was taken, and by tenant. `failures`
    counts failed answers by their problem's code.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    record_schema: Literal["askfleet-load/1"] = Field(default=SCHEMA, alias="schema")
    command: str
    started_at: str = Field(description="ISO 8601, with the offset")
    seconds: float
    scenario: dict[str, JsonValue] = {}
    totals: Totals = Totals()
    latencies: dict[str, Latency] = {}
    by_route: dict[str, dict[str, Latency]] = {}
    by_tenant: dict[str, dict[str, Latency]] = {}
    failures: dict[str, int] = {}
    timeline: tuple[Second, ...] = ()
    stages: tuple[StageSample, ...] = ()
    processes: tuple[ProcessSample, ...] = ()
    faults: tuple[Fault, ...] = ()
    violations: tuple[BrokenPromise, ...] = ()
    generator: Generator = Generator()

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")


def read_recording(path: Path) -> Recording:
    """Raises Misconfigured when the file is not there or not a record."""
    try:
        return Recording.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"{path} can't be read: {error}.", remedy="Check the file.") from error
    except ValidationError as error:
        raise Misconfigured(
            f"{path} is not a record of a load run: {error.errors()[0]['msg']}",
            remedy="Name a file that `askfleet load run --json FILE` wrote.",
        ) from error
