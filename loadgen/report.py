"""A bench's result: figures with their targets, as a table for people and as JSON for machines."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Figure:
    """One measured value. A target is a bound from above or from below; most figures have none."""

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool | None:
        """None: there is no target."""
        if self.at_most is not None:
            return self.value <= self.at_most
        if self.at_least is not None:
            return self.value >= self.at_least
        return None

    @property
    def target(self) -> str:
        if self.at_most is not None:
            return f"<= {_number(self.at_most)}"
        return f">= {_number(self.at_least)}" if self.at_least is not None else ""


@dataclass(frozen=True)
class Report:
    """`command` is what measured it."""

    bench: str
    command: str
    figures: Sequence[Figure] = field(default_factory=tuple)
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def missed(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.met is False]

    def table(self) -> str:
        width = max((len(figure.name) for figure in self.figures), default=0)
        lines = [f"{self.bench}   ({self.command})"]
        for figure in self.figures:
            verdict = {None: "", True: "met", False: "MISSED"}[figure.met]
            value = f"{_number(figure.value):>10} {figure.unit:<16}"
            lines.append(f"  {figure.name:<{width}} {value} {figure.target:<12} {verdict}".rstrip())
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def as_json(reports: Sequence[Report]) -> str:
    return json.dumps([asdict(report) for report in reports], indent=2)


def _number(value: float) -> str:
    if value == int(value) and abs(value) >= 10:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
