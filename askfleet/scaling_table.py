"""What `askfleet up` scales, as a table."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from askfleet.local.state import StateFolder
from askfleet.moments import ago
from bus.scaling import ScalingReport, ScalingState
from contracts.errors import Misconfigured


def read_scaling(state: StateFolder) -> ScalingReport:
    """Raises Misconfigured when the stack scales nothing, or has not looked yet."""
    try:
        return ScalingReport.model_validate_json(state.scaling.read_bytes())
    except FileNotFoundError:
        raise Misconfigured(
            "The stack scales nothing.", remedy="Start it with `askfleet up --scale generation=0:4`."
        ) from None


def scaling_table(report: ScalingReport) -> RenderableType:
    table = Table(
        "scaled", "metric", "target each", "desired", "actual", "range", "since", "why",
        box=None, header_style="bold",
    )  # fmt: skip
    for state in report.states:
        table.add_row(
            state.scaled_object,
            "[red]unreadable[/]" if state.metric is None else f"{state.metric:g}",
            f"{state.target_value:g}",
            str(state.desired),
            _actual(state),
            f"{state.least} to {state.most}",
            ago(int(state.since * 1_000)),
            state.reason,
        )
    notes = [Text(f"problem  {state.problem}", style="red") for state in report.states if state.problem]
    if report.speed != 1:
        notes.append(Text(f"KEDA's clock runs {report.speed:g} times as fast", style="dim"))
    if report.node_s or report.model_s:
        text = f"simulated: {report.node_s:g} s for a node, {report.model_s:g} s for a model"
        notes.append(Text(text, style="dim"))
    return Group(table, *notes)


def _actual(state: ScalingState) -> str:
    others = [
        f"{count} {name}"
        for name, count in (("starting", state.starting), ("draining", state.draining))
        if count
    ]
    return f"{state.ready} ({', '.join(others)})" if others else str(state.ready)
