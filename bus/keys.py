"""Nkeys: a seed in a private file for who connects, the public key for who configures the server."""

import os
from collections.abc import Iterable
from pathlib import Path

import nkeys
from pydantic import BaseModel, ConfigDict

from bus import subjects
from contracts.errors import Misconfigured
from contracts.query import Name

SUFFIX = ".nk"


def ensure_seed(path: Path) -> str:
    """Make a seed unless there is one; returns its public key. Nobody but the owner may read the file."""
    if path.exists():
        return public_key(path)
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


def _joined(
    first: dict[str, tuple[str, ...]], second: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    names = dict.fromkeys((*first, *second))
    return {name: tuple(dict.fromkeys((*first.get(name, ()), *second.get(name, ())))) for name in names}
