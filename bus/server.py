"""The configuration of nats-server: accounts and permissions from the roles, nkeys, TLS, limits.

    python -m bus.server keys deploy/keys --tenants tenants.yaml
    python -m bus.server configuration deploy/keys/public.yaml --tls /etc/nats/tls > nats-server.conf
    python -m bus.server roles

`keys` makes the seeds that are missing and writes the public keys beside them; only the public keys go to the
server. See docs/security.md.
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from bus.keys import KeyFolder, PublicKeys
from bus.permissions import (
    FLEET,
    FLEET_ROLES,
    SYSTEM,
    Role,
    account,
    fleet_role,
    publisher,
    services_of,
    shown_to,
)
from bus.topology import MAX_PAYLOAD_BYTES
from contracts.errors import AskfleetError, Misconfigured
from contracts.query import Name

Block = Mapping[str, object]
"""A part of the server's configuration, of which JSON is a subset."""

ANYBODY = "EXAMPLE"
PUBLIC_KEYS = "public.yaml"
TLS_FOLDER = "/etc/nats/tls"
STORE = "/data/jetstream"
HEAD = """\
# Written by `python -m bus.server configuration` from the roles in bus/permissions.py and a file of public
# keys. Do not edit: change those and write it again, check it with `nats-server -t -c`, then reload the
# server with `nats-server --signal reload`. docs/security.md explains it. Whose keys these are:
"""


@dataclass(frozen=True)
class Tls:
    """Files on the server's machine. Clients show a certificate that `ca` signed."""

    ca: str
    certificate: str
    key: str

    @classmethod
    def in_folder(cls, folder: str) -> "Tls":
        return cls(*(f"{folder}/{name}" for name in ("ca.pem", "server.pem", "server-key.pem")))

    def block(self) -> Block:
        return {
            "ca_file": self.ca,
            "cert_file": self.certificate,
            "key_file": self.key,
            "verify": True,
            "handshake_first": "auto",
            "timeout": 5,
        }


def accounts(keys: PublicKeys) -> Block:
    """The account of the fleet, one of each tenant, and the server's own."""
    tenants = sorted(keys.tenants)
    fleet: Block = {
        "jetstream": "enabled",
        "users": [user(fleet_role(role), key) for role, found in sorted(keys.roles.items()) for key in found],
        "exports": [export for tenant in tenants for export in _exports(tenant)],
    }
    return {SYSTEM: {}, FLEET: fleet, **{account(tenant): _tenant(tenant, keys) for tenant in tenants}}


def _tenant(tenant: str, keys: PublicKeys) -> Block:
    users = [user(publisher(tenant), key) for key in keys.tenants[tenant]]
    return {"users": users, "imports": _imports(tenant)}


def user(role: Role, key: str) -> Block:
    return {
        "nkey": key,
        "permissions": {
            "publish": {"allow": list(role.publish)},
            "subscribe": {"allow": list(role.subscribe)},
        },
    }


def _exports(tenant: str) -> list[Block]:
    only = [account(tenant)]
    services: list[Block] = [{"service": found, "accounts": only} for found in services_of(tenant)]
    streams: list[Block] = [{"stream": found, "accounts": only} for found in shown_to(tenant)]
    return services + streams


def _imports(tenant: str) -> list[Block]:
    services: list[Block] = [{"service": _of_fleet(found)} for found in services_of(tenant)]
    streams: list[Block] = [{"stream": _of_fleet(found)} for found in shown_to(tenant)]
    return services + streams


def _of_fleet(subject: str) -> Block:
    return {"account": FLEET, "subject": subject}


def access(keys: PublicKeys) -> Block:
    """What turns permissions on, for any configuration."""
    return {"accounts": accounts(keys), "system_account": SYSTEM}


def limits() -> Block:
    """A document may have 8 MB. A client that does not read is cut off rather than waited for."""
    return {
        "max_payload": MAX_PAYLOAD_BYTES,
        "max_connections": 10_000,
        "max_pending": 64 * 1024 * 1024,
        "write_deadline": "10s",
        "max_control_line": 4096,
    }


def production(keys: PublicKeys, *, tls: Tls | None = None, store: str = STORE) -> str:
    """A whole configuration with a word on each part."""
    parts: Mapping[str, Block] = {
        "Clients come in here, over TLS only and with a certificate of their own.": {
            "listen": "0.0.0.0:4222",
            "tls": (tls or Tls.in_folder(TLS_FOLDER)).block(),
        },
        "Lengths of queues for autoscalers. It knows no credentials: keep it on loopback, or behind a "
        "network policy.": {"http": "127.0.0.1:8222"},
        "A document may have 8 MB. A client that does not read is cut off rather than waited for.": limits(),
        "`sync_interval: always` makes what is acknowledged survive a loss of power, at the price of a disk "
        "write each. With the value here a single server may lose its last two minutes then.": {
            "jetstream": {"store_dir": store, "sync_interval": "2m"}
        },
        "One account for the fleet, one for each tenant, which imports its own doors only.": access(keys),
    }
    return HEAD + _names(keys) + "".join(f"\n{comment(text)}{lines(block)}" for text, block in parts.items())


def comment(text: str) -> str:
    return textwrap.fill(text, 108, initial_indent="# ", subsequent_indent="# ") + "\n"


def _names(keys: PublicKeys) -> str:
    """Which key is whose."""
    owners = {**keys.roles, **{account(tenant): found for tenant, found in keys.tenants.items()}}
    return "".join(f"#   {key} {owner}\n" for owner, found in owners.items() for key in found)


def lines(block: Block) -> str:
    return "".join(f"{name}: {json.dumps(value, indent=2)}\n" for name, value in block.items())


def load_keys(path: Path) -> PublicKeys:
    """Raises Misconfigured."""
    try:
        keys = PublicKeys.model_validate(yaml.safe_load(path.read_text()) or {})
    except OSError as error:
        raise Misconfigured(
            f"The keys file {path} can't be read: {error.strerror}.",
            remedy="Name the file of public keys that `python -m bus.server keys` makes.",
        ) from error
    except (yaml.YAMLError, ValidationError) as error:
        raise Misconfigured(f"The keys file {path} is not valid: {error}") from error
    unknown = sorted(set(keys.roles) - {role.name for role in FLEET_ROLES})
    if unknown:
        known = ", ".join(role.name for role in FLEET_ROLES)
        raise Misconfigured(f"{path}: there is no role {unknown[0]!r}.", remedy=f"The roles are {known}.")
    return keys


class _TenantNames(BaseModel):
    """The part of the tenants file that matters here."""

    tenants: dict[Name, object]


def make_keys(folder: Path, tenants: Path) -> PublicKeys:
    """The seeds that are missing, and `public.yaml`, which keeps what it held."""
    try:
        names = _TenantNames.model_validate(yaml.safe_load(tenants.read_text())).tenants
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise Misconfigured(f"The tenants file {tenants} can't be read: {error}") from error
    made = KeyFolder(folder).ensure((role.name for role in FLEET_ROLES), names)
    path = folder / PUBLIC_KEYS
    keys = load_keys(path).joined(made) if path.exists() else made
    path.write_text(yaml.safe_dump(keys.model_dump(mode="json"), sort_keys=False))
    return keys


def roles_table() -> str:
    """The roles as Markdown, for docs/security.md."""
    head = "| role | it | publishes | subscribes |\n|---|---|---|---|\n"
    rows = (_row(role) for role in (publisher(ANYBODY), *FLEET_ROLES))
    return head + "".join(rows).replace(ANYBODY, "&lt;tenant&gt;")


def _row(role: Role) -> str:
    return f"| `{role.name}` | {role.purpose} | {_cell(role.publish)} | {_cell(role.subscribe)} |\n"


def _cell(found: tuple[str, ...]) -> str:
    return "<br>".join(f"<code>{subject}</code>" for subject in found)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bus.server", description="The configuration of nats-server."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    keys = commands.add_parser("keys", help="make missing seeds, write the public keys")
    keys.add_argument("folder", type=Path)
    keys.add_argument("--tenants", type=Path, required=True, help="the tenants file")
    configuration = commands.add_parser("configuration", help="print the server's configuration")
    configuration.add_argument("keys", type=Path, help="the file of public keys")
    configuration.add_argument("--tls", default=TLS_FOLDER, help="folder with the server's certificates")
    configuration.add_argument("--store", default=STORE, help="folder of the streams")
    commands.add_parser("roles", help="print the table of roles")
    options = parser.parse_args()
    try:
        print(_run(options), end="")
    except AskfleetError as error:
        print(f"error: {error.detail}\nremedy: {error.remedy}", file=sys.stderr)
        sys.exit(2)


def _run(options: argparse.Namespace) -> str:
    if options.command == "keys":
        made = make_keys(options.folder, options.tenants)
        return f"{len(made.roles)} roles and {len(made.tenants)} tenants in {options.folder / PUBLIC_KEYS}\n"
    if options.command == "configuration":
        return production(load_keys(options.keys), tls=Tls.in_folder(options.tls), store=options.store)
    return roles_table()


if __name__ == "__main__":
    main()
