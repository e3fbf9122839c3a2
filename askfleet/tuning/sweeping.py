"""All points of a sweep, one after the other; what an earlier run measured is not measured again."""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from askfleet.moments import span_of
from askfleet.tuning.questions import digest
from askfleet.tuning.report import brief
from askfleet.tuning.results import ResultsFile, Row
from askfleet.tuning.sweep import Point
from askfleet.tuning.trial import Bench, try_point

RESULTS = "results.jsonl"
_LOAD = ", load "


@dataclass(frozen=True)
class Sweep:
    """`again`: points that failed before are tried once more."""

    points: tuple[Point, ...]
    bench: Bench
    results: ResultsFile
    again: bool = False

    def keys(self) -> list[str]:
        """Of each point: the same settings asked the same questions by the same interpreter."""
        asked = digest(self.bench.questions)
        python = "" if self.bench.python == sys.executable else self.bench.python
        told = [json.dumps([point.effective(), asked, python], sort_keys=True) for point in self.points]
        return [hashlib.sha256(text.encode()).hexdigest()[:12] for text in told]

    def rows(self) -> list[Row | None]:
        """What stands in the results file, in the order of the points."""
        known = self.results.rows()
        return [known.get(key) for key in self.keys()]

    def pending(self) -> list[int]:
        return [place for place, row in enumerate(self.rows()) if self._is_pending(row)]

    def run(self, console: Console) -> None:
        """Measures what is pending; each row is kept as soon as it is there."""
        keys, pending = self.keys(), self.pending()
        self._tell_known(console, pending)
        for number, place in enumerate(pending, 1):
            head = f"[{number}/{len(pending)}] {self.points[place].label}"
            self.results.add(self._row(place, keys[place], head, console))

    def _tell_known(self, console: Console, pending: Sequence[int]) -> None:
        known = [row for place, row in enumerate(self.rows()) if place not in pending]
        if not known:
            return
        failed = sum(row is not None and row.figures is None for row in known)
        without = f"; {failed} without figures: --again tries once more" if failed else ""
        console.print(f"{len(known)} of {len(self.points)} points stand in the results already{without}")

    def _is_pending(self, row: Row | None) -> bool:
        return row is None or (self.again and row.figures is None)

    def _row(self, place: int, key: str, head: str, console: Console) -> Row:
        point, began = self.points[place], datetime.now(UTC)
        total = len(self.bench.questions)
        with console.status(head) as status:
            machine = described()
            tried = try_point(
                point, key, self.bench, lambda done: status.update(f"{head}: {done} of {total} answered")
            )
        took = span_of((datetime.now(UTC) - began).total_seconds())
        said = tried.reason
        if tried.figures is not None:
            said = brief(tried.figures)
        style = "yellow" if tried.reason else ""
        console.print(f"{head}: {said} ({took})", markup=False, highlight=False, soft_wrap=True, style=style)
        at = began.isoformat(timespec="seconds")
        return Row(
            key=key, values=point.values, at=at, machine=machine, figures=tried.figures, reason=tried.reason
        )


def described() -> str:
    """The machine, and how busy it was before the point began."""
    return f"{_processor()}, {os.cpu_count()} cores{_LOAD}{os.getloadavg()[0]:.1f}"


def machines(rows: Sequence[Row | None]) -> list[str]:
    """Each machine once, with its least and its most load: more than its cores is the work of others."""
    loads: dict[str, list[float]] = {}
    for row in rows:
        if row is not None:
            name, _, load = row.machine.rpartition(_LOAD)
            loads.setdefault(name, []).append(float(load))
    return [f"{name}{_LOAD}{min(found):.1f} to {max(found):.1f}" for name, found in loads.items()]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").split("\n") if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
