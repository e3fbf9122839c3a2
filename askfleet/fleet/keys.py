"""Keys of the links between clusters: seeds in private files, and the variables of each NATS server.

<folder>/<cluster>/links/<neighbour>.nk              by which its servers enter the neighbour's
<folder>/<cluster>/neighbours/<role>/<neighbour>.nk  by which its workers work for the neighbour
<folder>/<cluster>/nats.env                          what its servers' configuration names
"""

import os
from collections.abc import Iterator
from pathlib import Path

from askfleet.fleet.topology import Topology
from bus.keys import SUFFIX, ensure_seed
from bus.sites import guest_key, link_key, link_seed
from contracts.errors import Misconfigured


def make_link_keys(topology: Topology, folder: Path) -> tuple[Path, ...]:
    """Makes what is missing and keeps what is there; returns the files of variables.

    Raises:
        Misconfigured: the folder can't be written, or holds a file that is no seed.
    """
    try:
        return _made(topology, folder)
    except OSError as error:
        raise Misconfigured(
            f"{error.filename or folder} can't be written: {error.strerror}.",
            remedy="Name a folder of your own for the seeds.",
        ) from error


def _made(topology: Topology, folder: Path) -> tuple[Path, ...]:
    for cluster in topology.clusters:
        for neighbour, roles in topology.guests(cluster).items():
            ensure_seed(link_file(folder, cluster, neighbour))
            for role in roles:
                ensure_seed(guest_folder(folder, cluster, role) / f"{neighbour}{SUFFIX}")
    return tuple(_write_variables(topology, folder, cluster) for cluster in topology.clusters)


def link_file(folder: Path, cluster: str, neighbour: str) -> Path:
    return folder / cluster / "links" / f"{neighbour}{SUFFIX}"


def guest_folder(folder: Path, cluster: str, role: str) -> Path:
    """What becomes the Secret `nats-neighbours-<role>` of the cluster."""
    return folder / cluster / "neighbours" / role


def variables(topology: Topology, folder: Path, cluster: str) -> dict[str, str]:
    """What the configuration of a cluster's NATS servers names, by the keys in the folder."""
    return dict(sorted(_variables(topology, folder, cluster)))


def _variables(topology: Topology, folder: Path, cluster: str) -> Iterator[tuple[str, str]]:
    for neighbour, roles in topology.guests(cluster).items():
        yield link_seed(neighbour), link_file(folder, cluster, neighbour).read_text().strip()
        for role in roles:
            key = ensure_seed(guest_folder(folder, cluster, role) / f"{neighbour}{SUFFIX}")
            yield guest_key(neighbour, role.split("-")[0]), key
    for other in topology.clusters:
        if cluster in topology.guests(other):
            yield link_key(other), ensure_seed(link_file(folder, other, cluster))


def _write_variables(topology: Topology, folder: Path, cluster: str) -> Path:
    path = folder / cluster / "nats.env"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name("nats.env.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables(topology, folder, cluster).items())
    draft.replace(path)
    return path
