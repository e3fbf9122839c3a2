"""Values in words, as people read them."""

from loadgen.pages.chart import Unit
from loadgen.progress import clock, duration

__all__ = ["amount", "clock", "count", "duration", "printable", "share"]


def amount(value: float, unit: Unit) -> str:
    match unit:
        case Unit.MILLISECONDS:
            return duration(value)
        case Unit.SECONDS:
            return duration(value * 1000) if value else "0 s"
        case Unit.PER_SECOND:
            return f"{figures(value)}/s"
        case Unit.COUNT:
            return count(value)
        case Unit.MEBIBYTES:
            return f"{value:,.0f} MiB"
        case Unit.CORES:
            return f"{value:.2f} cores"


def count(value: float) -> str:
    return f"{value:,.0f}"


def figures(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3g} %" if whole else "-"


def printable(text: str) -> str:
    """Without control characters, which neither SVG nor a terminal takes."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
