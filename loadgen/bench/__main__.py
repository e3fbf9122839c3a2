"""`python -m loadgen.bench [--json FILE] NAME...`: measure and print; `all` runs every bench in turn."""

import argparse
import importlib
import logging
import sys
from pathlib import Path

import structlog

from loadgen.bench import accept
from loadgen.report import Report, as_json

NAMES = ("consume", "overhead", "ceiling", "streams", "accept", "footprint")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadgen.bench", description=__doc__)
    parser.add_argument("names", nargs="+", choices=(*NAMES, "all"), metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=float, default=60.0, help="how long `accept` publishes")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    chosen = parser.parse_args()
    # Benches end connections and kill servers on purpose; what clients say about it is not news.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    names = NAMES if "all" in chosen.names else tuple(chosen.names)
    reports: list[Report] = []
    for name in names:
        report = _run(name, chosen.seconds)
        print(report.table(), flush=True)
        print()
        reports.append(report)
    if chosen.json:
        chosen.json.write_text(as_json(reports))
    missed = [f"{report.bench}: {figure.name}" for report in reports for figure in report.missed]
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed else 0


def _run(name: str, seconds: float) -> Report:
    if name == "accept":
        return accept.run(seconds)
    report: Report = importlib.import_module(f"loadgen.bench.{name}").run()
    return report


if __name__ == "__main__":
    sys.exit(main())
