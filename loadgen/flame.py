"""`python -m loadgen.flame FOLDER`: a flame graph of each worker under full load, made with py-spy.

An engine that takes no time and simulated embeddings, as at the ceiling (`python -m loadgen.bench ceiling`).
"""

import argparse
import subprocess
import sys
from pathlib import Path

from contracts import Route
from contracts.errors import AskfleetError, Misconfigured
from loadgen.bench.stacks import Bed, in_loop, weightless
from loadgen.clients import Ask, Crowd, closed_loop

WORKERS = ("router", "retrieval", "generation", "bridge")
CLIENTS = 64
SECONDS = 10
SAMPLES_A_SECOND = 100
END_WITHIN_S = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadgen.flame", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the graphs go, as SVG")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with weightless() as bed:
        in_loop(_load(bed, folder))
    return 0


async def _load(bed: Bed, folder: Path) -> None:
    def ask(number: int) -> Ask:
        return Ask(bed.corpus.questions[number % bed.corpus.passages], Route.DOCUMENTS, max_tokens=64)

    await closed_loop(bed.stack.door, ask, Crowd(CLIENTS, 2.0))
    recorders = [_record(bed.stack.pids[name], folder / f"{name}.svg") for name in WORKERS]
    await closed_loop(bed.stack.door, ask, Crowd(CLIENTS, SECONDS + 2.0))
    for recorder in recorders:
        if recorder.wait(timeout=END_WITHIN_S) != 0:
            raise Misconfigured(
                "py-spy could not look into a worker.",
                remedy="Run as root, or allow ptrace (kernel.yama.ptrace_scope=0).",
            )


def _record(pid: int, graph: Path) -> "subprocess.Popen[bytes]":
    py_spy = str(Path(sys.executable).with_name("py-spy"))
    options = ["--duration", str(SECONDS), "--rate", str(SAMPLES_A_SECOND), "--output", str(graph)]
    try:
        return subprocess.Popen([py_spy, "record", *options, "--pid", str(pid)], stdout=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise Misconfigured("There is no py-spy.", remedy="Run `make .venv/.dev-installed`.") from error


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AskfleetError as error:
        sys.exit(f"error: {error.detail}\nremedy: {error.remedy}")
