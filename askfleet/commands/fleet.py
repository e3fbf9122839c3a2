"""`askfleet fleet ...`: several clusters, described by one file."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

fleet = typer.Typer(
    help="Several clusters, described by one file.\n\n    askfleet fleet check\n\n    askfleet fleet render",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

TOPOLOGY = Path("deploy/fleet/topology.yaml")
STALE = 1
File = Annotated[Path, typer.Option("--topology", "-f", help="The file that describes the fleet.")]


@fleet.command()
def check(topology: File = TOPOLOGY) -> None:
    """Read the file, and what it names, and say what is wrong, if anything is. Writes nothing.

    askfleet fleet check -f deploy/fleet/topology.yaml
    """
    from askfleet.fleet.reading import read_topology
    from askfleet.fleet.rendering import check_overlays, render

    found = read_topology(topology)
    check_overlays(found, folder=topology.parent)
    files = render(found, folder=topology.parent, out=topology.parent / "rendered")
    typer.echo(
        f"{topology}: {len(found.clusters)} clusters, {len(found.spill)} rules of spill, nothing wrong; "
        f"it renders {len(files)} files"
    )


@fleet.command()
def show(topology: File = TOPOLOGY) -> None:
    """The fleet as a table: where each role runs, how far it scales, who helps.

    askfleet fleet show
    """
    from askfleet.fleet.reading import read_topology
    from askfleet.fleet.tables import show_topology

    show_topology(read_topology(topology), Console())


@fleet.command()
def render(
    topology: File = TOPOLOGY,
    out: Annotated[Path | None, typer.Option(help="Folder; default: `rendered` beside the file.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if the folder is not up to date.")
    ] = False,
) -> None:
    """Write the manifests and NATS configurations of every cluster.

    askfleet fleet render --check
    """
    from askfleet.fleet.reading import read_topology
    from askfleet.fleet.rendering import check_overlays, render, stale, write

    target = out or topology.parent / "rendered"
    found = read_topology(topology)
    check_overlays(found, folder=topology.parent)
    files = render(found, folder=topology.parent, out=target)
    changed = stale(files, target)
    for path in changed:
        typer.echo(f"{'stale' if check else 'wrote'} {target / path}")
    if not check:
        write(files, target)
    elif changed:
        raise typer.Exit(STALE)
    if not changed:
        typer.echo(f"{target}: up to date, {len(files)} files")


@fleet.command()
def diff(
    before: Annotated[Path, typer.Argument(help="The topology as it was.")],
    after: Annotated[Path, typer.Argument(help="The topology as it will be.")],
) -> None:
    """Say what a change of the topology does: to clusters, limits, spill, and which files.

    git show HEAD:deploy/fleet/topology.yaml > before.yaml

    askfleet fleet diff before.yaml deploy/fleet/topology.yaml
    """
    from askfleet.fleet.difference import files_changed, said
    from askfleet.fleet.reading import read_topology

    old, new = read_topology(before), read_topology(after)
    for line in said(old, new):
        typer.echo(line)
    for line in files_changed(old, new, folder=after.parent):
        typer.echo(line)


@fleet.command()
def keys(
    folder: Annotated[Path, typer.Argument(help="Where seeds lie, or will lie; nobody else may read them.")],
    topology: File = TOPOLOGY,
) -> None:
    """Make the keys of the links between clusters that are missing; those that are there stay.

    askfleet fleet keys ./keys
    """
    from askfleet.fleet.keys import make_link_keys
    from askfleet.fleet.reading import read_topology

    for path in make_link_keys(read_topology(topology), folder):
        typer.echo(f"{path}: the variables of that cluster's NATS servers, to be kept as a Secret")
