"""A point in a process of its own: started, watched, ended at its time limit, its memory taken down."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

import askfleet
from askfleet.local.leash import leashed
from askfleet.tuning.measurement import Answer, Job, Outcome
from askfleet.tuning.questions import Question, digest, write_questions
from askfleet.tuning.results import Figures, figures_of
from askfleet.tuning.sweep import Point

_LOOK_EVERY_S = 0.2
_MIB = 1 << 20
_FRAME = " |+-\t\r"
_LONGEST_WORDS = 300
_ROOT = Path(askfleet.__file__).parent.parent

Progress = Callable[[int], None]
"""Told how many questions are answered."""


@dataclass(frozen=True)
class Bench:
    """Where points are tried: the questions, a folder for their files, an interpreter, a limit in seconds."""

    questions: Sequence[Question]
    folder: Path
    python: str = sys.executable
    limit_s: float = 600.0


@dataclass(frozen=True)
class Tried:
    """What came of a point: figures, or the reason why there are none."""

    figures: Figures | None = None
    reason: str = ""


@dataclass
class _Watch:
    """The most memory that the processes of the point held together."""

    process: "subprocess.Popen[bytes]"
    peak_mib: float = 0.0

    def look(self) -> None:
        self.peak_mib = max(self.peak_mib, sum(_resident_mib(one) for one in self.family()))

    def family(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            process = psutil.Process(self.process.pid)
            return [process, *process.children(recursive=True)]
        return []

    def end(self) -> None:
        """What the point started goes with it, also what made itself a session of its own."""
        family = self.family()
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        psutil.wait_procs(family, timeout=10)


def try_point(point: Point, key: str, bench: Bench, progress: Progress) -> Tried:
    """Measures it. What fails there is a result, not an error."""
    job = _job(point, key, bench)
    log = bench.folder / f"{key}.log"
    with log.open("wb") as output, _started(job, bench, output) as watch:
        ended = _watched(watch, job, bench.limit_s, progress)
    answers = _answers(job.answers)
    if not ended:
        return Tried(reason=_too_slow(bench, answers, watch))
    if watch.process.returncode != 0 or not job.outcome.is_file():
        return Tried(reason=_death(watch, log))
    outcome = Outcome.model_validate_json(job.outcome.read_text(encoding="utf-8"))
    problems = [answer.problem for answer in answers if answer.problem]
    if outcome.failed:
        return Tried(reason=outcome.failed)
    if len(problems) == len(answers):
        return Tried(reason=f"No question was answered: {', '.join(sorted(set(problems)))}.")
    return Tried(figures_of(bench.questions, answers, outcome, memory_mib=watch.peak_mib))


def _job(point: Point, key: str, bench: Bench) -> Job:
    bench.folder.mkdir(parents=True, exist_ok=True)
    folder = bench.folder.absolute()
    job = Job(
        values=point.values,
        # Of its own name, as a sweep of other questions may run in the same folder.
        questions=folder / f"questions-{digest(bench.questions)}.jsonl",
        answers=folder / f"{key}.answers.jsonl",
        outcome=folder / f"{key}.outcome.json",
    )
    write_questions(bench.questions, job.questions)
    for left in (job.answers, job.outcome):
        left.unlink(missing_ok=True)
    (folder / f"{key}.job.json").write_text(job.model_dump_json(), encoding="utf-8")
    return job


@contextmanager
def _started(job: Job, bench: Bench, output: object) -> Iterator[_Watch]:
    path = job.outcome.with_name(job.outcome.name.replace(".outcome.", ".job."))
    command = leashed(
        [bench.python, "-m", "askfleet.tuning.measurement", str(path)], death_signal=signal.SIGKILL
    )
    process = subprocess.Popen(
        command,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=_environment(),
        start_new_session=True,  # type: ignore[call-overload]
    )
    watch = _Watch(process)
    try:
        yield watch
    finally:
        watch.end()


def _environment() -> Mapping[str, str]:
    """Another interpreter finds this code too."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _watched(watch: _Watch, job: Job, limit_s: float, progress: Progress) -> bool:
    """False when the limit came first."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        watch.look()
        progress(_lines(job.answers))
        with suppress(subprocess.TimeoutExpired):
            watch.process.wait(_LOOK_EVERY_S)
            return True
    return False


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _answers(path: Path) -> list[Answer]:
    """A last line that was cut off by a kill is left out."""
    if not path.is_file():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    return [Answer.model_validate_json(line) for line in whole.split("\n") if line]


def _resident_mib(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        return float(process.memory_info().rss) / _MIB
    return 0.0


def _too_slow(bench: Bench, answers: Sequence[Answer], watch: _Watch) -> str:
    return (
        f"Not done within {bench.limit_s:g} s: {len(answers)} of {len(bench.questions)} questions answered, "
        f"{watch.peak_mib:,.0f} MiB."
    )


def _death(watch: _Watch, log: Path) -> str:
    status = watch.process.returncode
    if status == -signal.SIGKILL:
        return f"Killed with {watch.peak_mib:,.0f} MiB, most likely out of memory."
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    said = _last_words(log.read_text(encoding="utf-8", errors="replace"))
    died = "Died" if status else "Ended without a result"
    return f"{died} ({how}): {said[:_LONGEST_WORDS] or 'it said nothing'}"


def _last_words(log: str) -> str:
    """The last line that says something: the frame around a traceback of several errors does not."""
    lines = (line.strip(_FRAME) for line in reversed(log.split("\n")))
    return next((line for line in lines if any(map(str.isalpha, line))), "")
