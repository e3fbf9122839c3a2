"""The tenants file: who may ask, with which keys, how much, over which database.

tenants:
  demo:
    keys:
      - <SHA-256 of an API key, hex>
      - {sha256: <SHA-256>, requests_per_s: 5, burst: 20, concurrent: 8}
    requests_per_s: 10   # for each key that states none itself; null: the bridge's own default; 0: no limit
    dsn: null            # PostgreSQL of this tenant; null: the worker's own AF_DSN
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)

from contracts.errors import Misconfigured, Unauthorized, UnknownTenant
from contracts.query import Name

Digest = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{64}$")]


class Limits(BaseModel):
    """What one key may do: 0 is no limit, None is what the next wider place says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_s: float | None = Field(default=None, ge=0)
    burst: int | None = Field(default=None, ge=0)
    concurrent: int | None = Field(default=None, ge=0)

    def over(self, wider: "Limits") -> "Limits":
        """These, and those of `wider` where these state none."""
        return Limits(
            requests_per_s=wider.requests_per_s if self.requests_per_s is None else self.requests_per_s,
            burst=wider.burst if self.burst is None else self.burst,
            concurrent=wider.concurrent if self.concurrent is None else self.concurrent,
        )


class Key(Limits):
    sha256: Digest


def _as_key(given: object) -> object:
    return {"sha256": given} if isinstance(given, str) else given


class Tenant(Limits):
    """Its limits hold for each of its keys, not for all together."""

    keys: tuple[Annotated[Key, BeforeValidator(_as_key)], ...] = ()
    dsn: SecretStr | None = None


@dataclass(frozen=True)
class Caller:
    """Who sends a request: a tenant by one of its keys; without keys, `key` is empty."""

    tenant: str
    key: str
    limits: Limits


class Tenants(BaseModel):
    """Read once at start. An empty file path means one tenant, `default`, without keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenants: dict[Name, Tenant]

    @classmethod
    def load(cls, path: Path | None) -> "Tenants":
        if path is None:
            return cls(tenants={"default": Tenant()})
        try:
            return cls.model_validate(yaml.safe_load(path.read_text()))
        except OSError as error:
            raise Misconfigured(f"The tenants file {path} can't be read: {error.strerror}.") from error
        except (yaml.YAMLError, ValidationError) as error:
            raise Misconfigured(f"The tenants file {path} is not valid: {error}") from error

    @property
    def keyed(self) -> bool:
        return bool(self._callers)

    def only(self) -> Caller:
        """The one tenant of a system without keys."""
        if len(self.tenants) != 1:
            raise Unauthorized("No tenant has a key, and there is more than one tenant.")
        name, tenant = next(iter(self.tenants.items()))
        return Caller(name, "", tenant)

    def require(self, tenant: str) -> Tenant:
        found = self.tenants.get(tenant)
        if found is None:
            raise UnknownTenant(f"The tenant {tenant!r} is not in the tenants file.")
        return found

    def dsn(self, tenant: str, default: SecretStr) -> str:
        """The PostgreSQL of a tenant, in the clear: for the driver only."""
        found = self.require(tenant).dsn
        return (found or default).get_secret_value()

    def by_key(self, key: str) -> Caller:
        """The owner of an API key."""
        found = self._callers.get(key_digest(key))
        if found is None:
            raise Unauthorized(f"The key that starts with {key[:4]!r} is not known.")
        return found

    @cached_property
    def _callers(self) -> Mapping[str, Caller]:
        return {
            key.sha256: Caller(name, key.sha256, key.over(tenant))
            for name, tenant in self.tenants.items()
            for key in tenant.keys
        }


def key_digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
