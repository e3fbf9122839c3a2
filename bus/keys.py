"""Nkeys: a seed in a private file for who connects, the public key for who configures the server."""

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bus import subjects
from bus.permissions import INBOX, fleet_role
from bus.settings import BusSettings
from contracts.errors import Misconfigured
from contracts.query import Name

SUFFIX = ".nk"


def ensure_seed(path: Path) -> str:
    """Make a seed unless there is one; returns its public key. Nobody but the owner may read the file."""
    if path.exists():
        return public_key(path)
    import nkeys  # takes its time to load, and most commands need no key

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(seed + b"\n")
    draft.replace(path)
    return public_key(path)


def public_key(path: Path) -> str:
    """Of the seed in a file; raises Misconfigured when the file can't be read or holds no seed of a user."""
    import nkeys

    try:
        seed = bytearray(path.read_bytes().strip())
    except OSError as error:
        raise Misconfigured(
            f"The nkey file {path} can't be read: {error.strerror}.",
            remedy="Name a readable file with a seed in AF_NATS_NKEY_FILE.",
        ) from error
    try:
        pair = nkeys.from_seed(seed)
        found = pair.public_key.decode()
    except (nkeys.NkeysError, ValueError) as error:
        raise _no_seed(path) from error
    pair.wipe()
    if not found.startswith("U"):
        raise _no_seed(path)
    return str(found)


def _no_seed(path: Path) -> Misconfigured:
    return Misconfigured(
        f"The file {path} holds no nkey seed of a user.",
        remedy="It should hold one line that begins with SU; `python -m bus.server keys` makes such files.",
    )


class PublicKeys(BaseModel):
    """Who may connect. Several keys of one role or tenant hold side by side while a key is replaced."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: dict[str, tuple[str, ...]] = {}
    tenants: dict[Name, tuple[str, ...]] = {}

    def joined(self, other: "PublicKeys") -> "PublicKeys":
        return PublicKeys(
            roles=_joined(self.roles, other.roles), tenants=_joined(self.tenants, other.tenants)
        )


class KeyFolder:
    """Seeds by role and by tenant: `router.nk`, `tenants/demo.nk`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def role(self, name: str) -> Path:
        return self.root / f"{name}{SUFFIX}"

    def tenant(self, name: str) -> Path:
        return self.root / "tenants" / f"{subjects.token('tenant', name)}{SUFFIX}"

    def ensure(self, roles: Iterable[str], tenants: Iterable[str]) -> PublicKeys:
        """Makes the seeds that are missing."""
        return PublicKeys(
            roles={role: (ensure_seed(self.role(role)),) for role in roles},
            tenants={tenant: (ensure_seed(self.tenant(tenant)),) for tenant in tenants},
        )

    def environment(self, role: str) -> dict[str, str]:
        """What makes a process connect as a role of the fleet: the file is named, the seed stays in it."""
        return {
            "AF_NATS_NKEY_FILE": str(self.role(role)),
            "AF_NATS_INBOX_PREFIX": fleet_role(role).inbox,
        }

    def settings(self, nats_url: str, role: str) -> BusSettings:
        """To connect as a role of the fleet."""
        return BusSettings(
            nats_url=nats_url,
            nats_nkey_file=self.role(role),
            nats_inbox_prefix=fleet_role(role).inbox,
            nats_credentials=None,
        )

    def tenant_settings(self, nats_url: str, tenant: str) -> BusSettings:
        """To connect on behalf of a tenant; raises Misconfigured when no seed of it lies here."""
        path = self.tenant(tenant)
        if not path.exists():
            raise Misconfigured(
                f"There is no NATS key of tenant {tenant!r} in {path.parent}.",
                remedy="Add the tenant to the tenants file and start the stack again.",
            )
        return BusSettings(
            nats_url=nats_url, nats_nkey_file=path, nats_inbox_prefix=INBOX, nats_credentials=None
        )


def _joined(
    first: dict[str, tuple[str, ...]], second: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    names = dict.fromkeys((*first, *second))
    return {name: tuple(dict.fromkeys((*first.get(name, ()), *second.get(name, ())))) for name in names}
