"""`python -m loadgen.bench [--json FILE] NAME...`: measure and print; `all` runs every bench in turn.

Benches that need the same stack share one.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from contracts.errors import AskfleetError
from loadgen.bench import accept, ceiling, consume, fairness, footprint, hops, overhead, streams
from loadgen.bench.stacks import Bed, in_loop, timed, weightless
from loadgen.report import Report, as_json

Measure = Callable[[Bed], Coroutine[object, object, Report]]
ALONE: dict[str, Callable[[], Report]] = {
    "consume": consume.run,
    "footprint": footprint.run,
    "fairness": fairness.run,
}


@dataclass(frozen=True)
class Shared:
    """A stack and the benches that run on it, one after the other."""

    bed: Callable[[], AbstractContextManager[Bed]]
    benches: dict[str, Measure]


def main() -> int:
    chosen = _arguments()
    # Benches end connections on purpose; what clients say about it is not news.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    names = _names() if "all" in chosen.names else chosen.names
    reports: list[Report] = []
    for report in _reports(names, chosen.seconds):
        print(report.table(), end="\n\n", flush=True)
        reports.append(report)
        if chosen.json:
            chosen.json.write_text(as_json(reports))
    missed = [f"{report.bench}: {figure.name}" for report in reports for figure in report.missed]
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadgen.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="+", choices=(*_names(), "all"), metavar="NAME", help=", ".join(_names())
    )
    parser.add_argument("--seconds", type=float, default=accept.SECONDS, help="how long `accept` publishes")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    return parser.parse_args()


def _shared(seconds: float) -> tuple[Shared, ...]:
    return (
        Shared(timed, {"overhead": overhead.measure, "hops": hops.measure, "streams": streams.measure}),
        Shared(weightless, {"ceiling": ceiling.measure, "accept": partial(accept.measure, seconds=seconds)}),
    )


def _names() -> tuple[str, ...]:
    return (*ALONE, *(name for shared in _shared(accept.SECONDS) for name in shared.benches))


def _reports(names: Sequence[str], seconds: float) -> Iterator[Report]:
    for name in names:
        if name in ALONE:
            yield ALONE[name]()
    for shared in _shared(seconds):
        wanted = [measure for name, measure in shared.benches.items() if name in names]
        if wanted:
            with shared.bed() as bed:
                for measure in wanted:
                    yield in_loop(measure(bed))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AskfleetError as error:
        sys.exit(f"error: {error.detail}\nremedy: {error.remedy}")
