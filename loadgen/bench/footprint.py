"""Memory of a whole idle stack as `askfleet up --demo` starts it, models loaded."""

import time

from loadgen.bench.stacks import SAMPLE
from loadgen.local_stack import local_stack
from loadgen.processes import Memory, memory
from loadgen.report import Figure, Report

SETTLE_S = 10.0
AT_MOST_MIB = 1_536.0


def run() -> Report:
    with local_stack({}, arguments=SAMPLE) as stack:
        time.sleep(SETTLE_S)
        found = memory(stack.pids)
    figures = [
        Figure(name, used.pss, "MiB") for name, used in sorted(found.items(), key=lambda item: -item[1].pss)
    ]
    total = Memory(sum(used.rss for used in found.values()), sum(used.pss for used in found.values()))
    figures.append(Figure("all (shared pages once)", total.pss, "MiB", at_most=AT_MOST_MIB))
    figures.append(Figure("all (sum of RSS)", total.rss, "MiB"))
    return Report("footprint", "python -m loadgen.bench footprint", tuple(figures))
