"""The timeline of a scaled run as JSON lines: what was measured, decided and done, and who waited how long.

Each line has a `kind`: one `run` first, then `look`, `replica` and `question` in any order, and a `verdict`
where an oracle judged the questions. All times are
seconds of the scaling clock since the start of the record: real seconds times `speed`, so that a run at 40
times the speed reads as one at the manifest's own pace with slower work. The simulator is checked against it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from contracts.errors import Misconfigured

SCHEMA: Literal["askfleet-scaling/1"] = "askfleet-scaling/1"

ReplicaState = Literal["asked", "node", "model", "process", "ready", "draining", "ended"]
"""`node` and `model` are simulated delays; `process` is the real start, `ready` its `/readyz`."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Run(_Line):
    """The first line."""

    kind: Literal["run"] = "run"
    record: Literal["askfleet-scaling/1"] = SCHEMA
    started_at: str = Field(description="ISO 8601, UTC")
    speed: float = Field(description="scaling seconds in a real second")
    node_s: float = Field(description="simulated: from the demand for a replica to its node")
    model_s: float = Field(description="simulated: from the node to the start of the process")
    concurrency: int = Field(description="questions that one replica works on at once; 0: not known")
    min_replicas: dict[str, int] = Field(description="as applied here, by name of the ScaledObject")
    max_replicas: dict[str, int]


class Look(_Line):
    """One poll of KEDA's, or one sync of the HPA's."""

    kind: Literal["look"] = "look"
    t: float
    scaled_object: str
    metric: float | None = Field(description="what the formula made of the lags; null: it could not be read")
    lags: dict[str, int] = Field(default={}, description="by trigger")
    desired: int
    actual: int = Field(description="ready replicas")
    starting: int = Field(default=0, description="asked for and not yet ready")
    draining: int = Field(default=0, description="told to stop and not yet ended")
    reason: str


class Replica(_Line):
    kind: Literal["replica"] = "replica"
    t: float
    scaled_object: str
    name: str
    state: ReplicaState


class Question(_Line):
    """One question in the queue of generation."""

    kind: Literal["question"] = "question"
    t: float = Field(description="its arrival in the queue")
    wait: float = Field(description="until a replica began with it")
    service: float = Field(description="in that replica")


class Verdict(_Line):
    """What the oracle of `askfleet load` found of all that was asked."""

    kind: Literal["verdict"] = "verdict"
    asked: int
    done: int = Field(description="answered in full")
    lost: int = Field(description="accepted, and never ended")
    broken_promises: int = Field(description="of delivery, losses among them")


Line = Run | Look | Replica | Question | Verdict
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


class Recorder:
    """Writes line after line while a run goes on; nowhere without a path."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8") if path is not None else None

    def write(self, line: Line) -> None:
        if self._file is not None and not self._file.closed:
            self._file.write(f"{line.model_dump_json()}\n")
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def write_timeline(path: Path, lines: Iterable[BaseModel]) -> None:
    """All of a finished run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line.model_dump_json()}\n" for line in lines), encoding="utf-8")


def read_timeline(path: Path) -> "Timeline":
    """Raises Misconfigured that names the line."""
    lines = list(_lines(path))
    runs = [line for line in lines if isinstance(line, Run)]
    if len(runs) != 1:
        raise Misconfigured(f"{path} has {len(runs)} lines of kind 'run' instead of one.")
    return Timeline(runs[0], lines)


class Timeline:
    """A record by kinds, each in order of time."""

    def __init__(self, run: Run, lines: Iterable[Line]) -> None:
        kept = list(lines)
        self.run = run
        self.verdict = next((line for line in kept if isinstance(line, Verdict)), None)
        self.looks = sorted((line for line in kept if isinstance(line, Look)), key=lambda line: line.t)
        self.replicas = sorted((line for line in kept if isinstance(line, Replica)), key=lambda line: line.t)
        self.questions = sorted(
            (line for line in kept if isinstance(line, Question)), key=lambda line: line.t
        )

    @property
    def lines(self) -> tuple[Line, ...]:
        judged = (self.verdict,) if self.verdict is not None else ()
        return (self.run, *self.looks, *self.replicas, *self.questions, *judged)


def _lines(path: Path) -> Iterator[Line]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"{path} can't be read: {error.strerror}.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            yield _LINE.validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise Misconfigured(f"{path}:{number}: {first['msg']}, not {line[:80]!r}.") from error
