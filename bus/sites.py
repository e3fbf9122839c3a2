"""NATS of several clusters: the configuration of one cluster's servers, with its links to the neighbours.

Each cluster is a JetStream domain of its own: its streams, their leaders and their votes stay within it. A
worker that helps a neighbour connects to the servers of its own cluster, in an account that is bound to that
neighbour by a leaf-node connection: there it speaks to the neighbour's streams as the neighbour's own workers
do. Why not gateways: docs/adr/0011-leaf-nodes-and-guests.md.

Seeds and keys of the links are named, not written: `$LINK_...` and `$GUEST_...` are environment variables of
the server's process.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bus.keys import PublicKeys
from bus.permissions import API, FLEET, SYSTEM, Role, fleet_role
from bus.server import Block, Tls, accounts, comment, lines, user
from bus.topology import MAX_PAYLOAD_BYTES

_VARIABLE = re.compile(r'"(\$[A-Z][A-Z0-9_]*)"')
HEAD = """\
# Written by `askfleet fleet render` from the topology of the fleet. Do not edit: change that, render again,
# check it with `nats-server -t -c`, restart the servers one by one. docs/fleet.md explains it.
"""


@dataclass(frozen=True)
class Help:
    """A neighbour whose queues our workers serve: its leaf-node addresses and the roles of those workers."""

    cluster: str
    urls: tuple[str, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Site:
    """One cluster. `helped_by`: the neighbours whose workers serve ours, and in which roles."""

    name: str
    keys: PublicKeys
    helps: tuple[Help, ...] = ()
    helped_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where the servers of a cluster listen and store."""

    listen: str
    monitor: str
    leaves: str
    store: str
    tls: Tls | None = None
    cluster: str = ""
    routes: tuple[str, ...] = ()


def in_kubernetes(tls: Tls, *, leaf_port: int, servers: int = 3) -> Place:
    """`servers` pods of a StatefulSet `nats` in the namespace `nats`."""
    hosts = (f"nats-{number}.nats-headless.nats.svc.cluster.local" for number in range(servers))
    return Place(
        "0.0.0.0:4222",
        "0.0.0.0:8222",
        f"0.0.0.0:{leaf_port}",
        "/data/jetstream",
        tls,
        "0.0.0.0:6222",
        tuple(f"nats://{host}:6222" for host in hosts),
    )


def at(neighbour: str) -> str:
    """The account whose streams are those of a neighbour."""
    return f"AT-{neighbour}"


def link_seed(neighbour: str) -> str:
    """The variable with the seed by which our servers enter a neighbour's."""
    return f"LINK_TO_{_upper(neighbour)}"


def link_key(neighbour: str) -> str:
    """The variable with the public key by which a neighbour's servers enter ours."""
    return f"LINK_FROM_{_upper(neighbour)}"


def guest_key(neighbour: str, role: str) -> str:
    """The variable with the public key of our workers of a role when they help a neighbour."""
    return f"GUEST_{_upper(role)}_AT_{_upper(neighbour)}"


def configuration(site: Site, place: Place) -> str:
    """Of every server of the cluster; the environment names each server (`POD_NAME`)."""
    text = HEAD + "".join(f"\n{comment(word)}{lines(block)}" for word, block in _parts(site, place).items())
    return _VARIABLE.sub(r"\1", text)


def chart_values(site: Site, *, leaf_port: int) -> Block:
    """What NATS' Helm chart needs beside the values of a lone cluster (`bus.chart`): a second file of values.

    The variables come from a Secret `nats-links`. The chart leaves strings in `<< >>` without quotes.
    """
    files = Tls(
        "/etc/nats-ca-cert/ca.crt", *(f"/etc/nats-certs/leafnodes/tls.{end}" for end in ("crt", "key"))
    )
    remotes = [_remote(found, files) for found in site.helps]
    values: Block = {
        "config": {
            "cluster": {"name": site.name},
            "jetstream": {"merge": {"domain": site.name}},
            "leafnodes": {
                "enabled": True,
                "port": leaf_port,
                "tls": {"enabled": True, "secretName": "nats-server-tls", "merge": {"verify": True}},
                "merge": {"remotes": remotes},
            },
            "merge": {"accounts": _accounts(site)},
        },
        "container": {"merge": {"envFrom": [{"secretRef": {"name": "nats-links"}}]}},
    }
    found: Block = json.loads(_VARIABLE.sub(r'"<< \1 >>"', json.dumps(values)))
    return found


def _parts(site: Site, place: Place) -> Mapping[str, Block]:
    tls: Block = {"tls": place.tls.block()} if place.tls else {}
    parts: dict[str, Block] = {
        "Clients come in here.": {"server_name": "$POD_NAME", "listen": place.listen} | dict(tls),
        "Lengths of queues for autoscalers. It knows no credentials: keep it behind a network policy.": {
            "http": place.monitor
        },
        "The domain keeps the streams of this cluster apart from those of its neighbours.": {
            "jetstream": {"store_dir": place.store, "domain": site.name, "sync_interval": "2m"},
            "max_payload": MAX_PAYLOAD_BYTES,
            "max_pending": 64 * 1024 * 1024,
            "write_deadline": "10s",
        },
    }
    if place.routes:
        parts["The servers of this cluster."] = {
            "cluster": {"name": site.name, "listen": place.cluster, "routes": list(place.routes), **tls}
        }
    parts["Neighbours come in here, and here we go to them: each link is bound to one account."] = {
        "leafnodes": {
            "listen": place.leaves,
            **tls,
            "remotes": [_remote(found, place.tls) for found in site.helps],
        }
    }
    parts[
        "The account of the fleet, which neighbours enter with the rights of the workers that help; one of "
        "each tenant; one for each neighbour that we help."
    ] = {"accounts": _accounts(site), "system_account": SYSTEM}
    return parts


def _remote(neighbour: Help, tls: Tls | None) -> Block:
    block: dict[str, object] = {
        "urls": list(neighbour.urls),
        "account": at(neighbour.cluster),
        "nkey": f"${link_seed(neighbour.cluster)}",
    }
    if tls:
        block["tls"] = {"ca_file": tls.ca, "cert_file": tls.certificate, "key_file": tls.key}
    return block


def _accounts(site: Site) -> Block:
    found = dict(accounts(site.keys))
    fleet = found[FLEET]
    assert isinstance(fleet, Mapping)
    links = [
        user(link(neighbour, roles, site.name), f"${link_key(neighbour)}")
        for neighbour, roles in sorted(site.helped_by.items())
    ]
    found[FLEET] = {**fleet, "users": [*fleet["users"], *links]}
    for neighbour in site.helps:
        found[at(neighbour.cluster)] = _guests(neighbour)
    return found


def _guests(neighbour: Help) -> Block:
    """JetStream's API is renamed on its way out, so that a worker asks as it does at home."""
    return {
        "mappings": {f"{API}.>": f"$JS.{neighbour.cluster}.API.>"},
        "users": [
            user(away(role, neighbour.cluster), f"${guest_key(neighbour.cluster, role)}")
            for role in neighbour.roles
        ],
    }


def away(role: str, cluster: str) -> Role:
    """The rights of a role for the streams of another cluster. The server asks for them after renaming."""
    home = fleet_role(role)
    return Role(home.name, home.purpose, _renamed(home.publish, cluster), home.subscribe)


def link(neighbour: str, roles: Iterable[str], cluster: str) -> Role:
    """What may come over the link of a neighbour: all that its helping workers may, and no more."""
    found = [away(role, cluster) for role in roles]
    return Role(
        f"link-{neighbour}",
        "a neighbour's workers",
        tuple(dict.fromkeys(subject for role in found for subject in role.publish)),
        tuple(dict.fromkeys(subject for role in found for subject in role.subscribe)),
    )


def _renamed(found: tuple[str, ...], cluster: str) -> tuple[str, ...]:
    return tuple(
        f"$JS.{cluster}.API.{one.removeprefix(f'{API}.')}" if one.startswith(f"{API}.") else one
        for one in found
    )


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")
