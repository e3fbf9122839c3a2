"""A topology for people."""

from rich.console import Console
from rich.table import Table

from askfleet.fleet.topology import ROLES, Limits, Topology


def show_topology(topology: Topology, console: Console) -> None:
    table = Table(title=f"Fleet {topology.name}: replicas of each role, and who helps")
    table.add_column("role", no_wrap=True)
    for name, cluster in topology.clusters.items():
        gpus = ", ".join(f"{number} {kind}" for kind, number in cluster.gpus.items())
        table.add_column(f"{name}\n{cluster.region}\n{gpus or 'no GPU'}")
    for role in ROLES:
        table.add_row(role, *(_cell(topology, name, role) for name in topology.clusters))
    console.print(table)


def _cell(topology: Topology, cluster: str, role: str) -> str:
    runs = _range(topology.limits(cluster, role)) if topology.runs(cluster, role) else "-"
    helpers = topology.helpers(cluster, role)
    return f"{runs}\n> {', '.join(helpers)}" if helpers else runs


def _range(limits: Limits) -> str:
    if limits.least is None and limits.most is None:
        return "as in the manifests"
    return f"{'?' if limits.least is None else limits.least} to {'?' if limits.most is None else limits.most}"
