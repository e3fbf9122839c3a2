"""Options that several commands share, and how a command finds the stack it speaks to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from askfleet.local.state import DEFAULT_STATE_DIR, StateFolder
from askfleet.local.tenants import DEMO_TENANT
from bus.settings import BusSettings
from contracts.errors import Misconfigured

StateDir = Annotated[
    Path,
    typer.Option("--state-dir", envvar="AF_STATE_DIR", help="Folder that holds the stack's data and logs."),
]
Tenant = Annotated[str, typer.Option("--tenant", envvar="AF_TENANT", help="On whose behalf to act.")]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", envvar="AF_API_KEY", help="API key; default: the local stack's own for the tenant."
    ),
]
Url = Annotated[
    str | None,
    typer.Option("--url", envvar="AF_URL", help="Address of a bridge; default: the running local stack's."),
]
NatsUrl = Annotated[
    str | None,
    typer.Option(
        "--nats-url", envvar="AF_NATS_URL", help="NATS servers; default: the running local stack's."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for a confirmation.")]

STATE_DIR = DEFAULT_STATE_DIR
TENANT = DEMO_TENANT


def writable(path: Path | None) -> Path | None:
    """Refused before the work whose outcome goes there, not after it."""
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        there = path.exists()
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise Misconfigured(
            f"{path} can't be written: {error.strerror}.", remedy="Name a file in a folder of yours."
        ) from error
    return path


@dataclass(frozen=True)
class Door:
    """A bridge and a key for it."""

    url: str
    key: str


def bus_settings(state: StateFolder, nats_url: str | None, *, tenant: str = "") -> BusSettings:
    """How to reach NATS: what was given, else the stack on the state folder; raises Misconfigured.

    Args:
        tenant: connect on its behalf; without one, as the operator. With `nats_url` the credentials are those
            that the environment names.
    """
    if nats_url is not None:
        return BusSettings(nats_url=nats_url)
    running = state.running_stack()
    if tenant:
        return state.nats_keys.tenant_settings(running.nats_url, tenant)
    return state.nats_keys.settings(running.nats_url, "operator")


def find_door(state_dir: Path, *, tenant: str, key: str | None, url: str | None) -> Door:
    """What was given, else what the stack on the state folder wrote down; raises Misconfigured."""
    if url is not None and not url.startswith(("http://", "https://")):
        raise Misconfigured(
            f"{url!r} is no address of a bridge.", remedy="Begin it with http:// or https://."
        )
    state = StateFolder(state_dir)
    return Door(url or state.running_stack().bridge_urls[0], key or state.key(tenant))
