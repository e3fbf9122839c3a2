"""What changed between two runs, in words."""

from loadgen.comparison import Change, Kind
from loadgen.pages.amounts import count, duration, figures

NAMES = ("before", "after")
COLUMNS = ("value", *NAMES, "ratio", "of", "verdict")


def cells(change: Change) -> tuple[str, ...]:
    """As text, in the order of COLUMNS."""
    sizes = "/".join(map(str, change.counts))
    values = (written(change.before, change.kind), written(change.after, change.kind))
    return (change.name, *values, _ratio(change.ratio), sizes, change.verdict.value)


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"


def written(value: float, kind: Kind) -> str:
    match kind:
        case Kind.TIME_MS:
            return duration(value)
        case Kind.PER_SECOND:
            return f"{figures(value)}/s"
        case Kind.SHARE:
            return f"{100 * value:.2f} %"
        case Kind.COUNT:
            return count(value)
        case Kind.MEBIBYTES:
            return f"{value:,.0f} MiB"
        case Kind.CPU_MS:
            return f"{value:.2f} ms"
