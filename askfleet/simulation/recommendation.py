"""Of everything that was tried: what keeps the limits for the fewest GPU-hours."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from askfleet.simulation.comparison import Bench, Objective, Progress, best, front
from askfleet.simulation.outcome import Figures
from askfleet.simulation.policy import Policy
from askfleet.simulation.tables import as_json, show

MOST_CHECKED = 4


@dataclass(frozen=True)
class Recommendation:
    """`rows`: all that was tried, by GPU-hours; `followed`: simulated question by question, too."""

    rows: tuple[Figures, ...]
    front: frozenset[str]
    followed: frozenset[str]
    policy: Policy | None

    @property
    def chosen(self) -> str:
        return self.policy.name if self.policy is not None else ""

    def report(self, console: Console, *, json: bool) -> None:
        if json:
            facts = {"followed": sorted(self.followed)}
            print(as_json(self.rows, front=self.front, chosen=self.chosen, **facts))
            return
        marks = dict.fromkeys(self.followed, "followed") | {self.chosen: "recommended"}
        kept = [row for row in self.rows if row.name in self.front | self.followed]
        console.print(f"{len(self.rows)} tried; on the Pareto front:", highlight=False)
        show(kept, console, first="policy", marks=marks)
        if self.policy is None:
            console.print(
                "None keeps the limits: allow longer waits, or try --least and --warm-nodes above these."
            )


def recommendation(
    bench: Bench, policies: Sequence[Policy], objective: Objective, deadline_s: float, *, progress: Progress
) -> Recommendation:
    """Counts all; then follows the cheapest that keep the limits until one does so in detail, too."""
    named = {policy.name: policy for policy in policies}
    outcomes = bench.count(policies, progress)
    rows = {outcome.name: outcome.figures(deadline_s) for outcome in outcomes}
    followed: set[str] = set()
    chosen = best(rows.values(), objective)
    while chosen is not None and bench.is_small and chosen.name not in followed:
        rows[chosen.name] = bench.follow([named[chosen.name]], progress)[0].figures(deadline_s)
        followed.add(chosen.name)
        if len(followed) == MOST_CHECKED:
            chosen = best((rows[name] for name in followed), objective)
            break
        chosen = best(rows.values(), objective)
    ordered = tuple(sorted(rows.values(), key=lambda row: row.gpu_hours))
    ahead = frozenset(row.name for row in front(ordered))
    return Recommendation(ordered, ahead, frozenset(followed), named[chosen.name] if chosen else None)
