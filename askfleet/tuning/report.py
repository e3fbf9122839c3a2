"""The measured points for people: a table in the terminal, the same in Markdown, and the recommendation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from askfleet.tuning.choice import MEASURES, Candidate, Recommendation, front, ms, recommend
from askfleet.tuning.preference import Limits, Prefer
from askfleet.tuning.results import Figures, Row
from askfleet.tuning.sweep import Point

_COLUMNS = ("right", "refused", "prompt", "cached", "first token", "95 %", "a token", "answers/s", "tokens/s")
_LAST = ("memory", "ready", "")
_FRONT, _CHOSEN = "front", "recommended"


@dataclass(frozen=True)
class Sheet:
    """A sweep: its points in order, those measured with a row, and what follows from them."""

    points: tuple[Point, ...]
    rows: tuple[Row | None, ...]
    recommendation: Recommendation
    front: frozenset[int]
    """Places among the points, as `chosen`."""
    chosen: int | None

    @classmethod
    def of(
        cls, points: Sequence[Point], rows: Sequence[Row | None], prefer: Prefer, limits: Limits
    ) -> "Sheet":
        measured = [place for place, row in enumerate(rows) if row is not None and row.figures is not None]
        candidates = [
            Candidate(points[place].label, row.figures)
            for place, row in enumerate(rows)
            if row is not None and row.figures is not None
        ]
        recommendation = recommend(candidates, prefer, limits)
        chosen = None if recommendation.chosen is None else measured[recommendation.chosen]
        best = frozenset(measured[place] for place in front(candidates))
        return cls(tuple(points), tuple(rows), recommendation, best, chosen)

    @property
    def varied(self) -> tuple[str, ...]:
        return self.points[0].varied if self.points else ()

    @property
    def header(self) -> list[str]:
        return [*self.varied, *_COLUMNS, *_LAST]

    def lines(self) -> Iterator[list[str]]:
        for place, (point, row) in enumerate(zip(self.points, self.rows, strict=True)):
            names = [point.value(name) for name in self.varied]
            if row is None:
                cells = ["not measured yet"]
            elif row.figures is None:
                cells = [row.reason]
            else:
                cells = [*cells_of(row.figures), self._mark(place)]
            yield [*names, *cells]

    def _mark(self, place: int) -> str:
        return _CHOSEN if place == self.chosen else _FRONT if place in self.front else ""


def cells_of(figures: Figures) -> list[str]:
    broken = f", {figures.broken} broken" if figures.broken else ""
    return [
        f"{figures.right} of {figures.questions}{broken}",
        str(figures.refused),
        f"{figures.prompt_tokens:.0f}",
        f"{figures.cached_share:.0%}",
        ms(figures.first_ms),
        ms(figures.slow_first_ms),
        ms(figures.token_ms),
        f"{figures.answers_per_s:.2f}",
        f"{figures.tokens_per_s:.1f}",
        f"{figures.memory_mib:,.0f} MiB",
        f"{figures.ready_s:.1f} s",
    ]


def brief(figures: Figures) -> str:
    """On one line."""
    return ", ".join(measure.show(figures) for measure in MEASURES)


def show(sheet: Sheet, console: Console) -> None:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for number, name in enumerate(sheet.header):
        table.add_column(name, justify="left" if number < len(sheet.varied) else "right", no_wrap=True)
    troubles = []
    for line, row in zip(sheet.lines(), sheet.rows, strict=True):
        if row is None or row.figures is None:
            troubles.append(line)
            continue
        style = {_CHOSEN: "bold green", _FRONT: "green"}.get(line[-1], "")
        table.add_row(*map(escape, line), style=style)
    if table.row_count:
        console.print(table)
    for line in troubles:
        named = " ".join(f"{n}={v}" for n, v in zip(sheet.varied, line, strict=False))
        console.print(
            f"without figures: {named or 'as set'}: {line[-1]}", markup=False, style="yellow", soft_wrap=True
        )
    for said in conclusion(sheet):
        console.print(said, markup=False, highlight=False, soft_wrap=True)


def conclusion(sheet: Sheet) -> Iterator[str]:
    """The recommended point, how to set it, and why."""
    if sheet.chosen is None:
        yield "recommended: none"
    else:
        point = sheet.points[sheet.chosen]
        yield f"recommended: {point.label}"
        settings = " ".join(point.environment())
        if settings:
            yield f"  {settings} askfleet up"
    yield from (f"  {reason}" for reason in sheet.recommendation.reasons)


def as_markdown(sheet: Sheet, about: Sequence[str]) -> str:
    lines = [*about, "", _line(sheet.header), _line(["---"] * len(sheet.header))]
    lines += [_line([*line, *[""] * (len(sheet.header) - len(line))]) for line in sheet.lines()]
    return "\n".join([*lines, "", *conclusion(sheet), ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |"
