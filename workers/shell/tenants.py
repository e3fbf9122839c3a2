"""The tenants file: who may ask, with which keys, over which database.

tenants:
  demo:
    keys: [<SHA-256 of an API key, hex>]
    dsn: null            # PostgreSQL of this tenant; null: the worker's own AF_DSN
"""

import hashlib
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from contracts.errors import Misconfigured, Unauthorized, UnknownTenant
from contracts.query import Name


class Tenant(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[str, ...] = ()
    dsn: SecretStr | None = None


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
        return any(tenant.keys for tenant in self.tenants.values())

    def only(self) -> str:
        """The one tenant of a system without keys."""
        if len(self.tenants) != 1:
            raise Unauthorized("No tenant has a key, and there is more than one tenant.")
        return next(iter(self.tenants))

    def require(self, tenant: str) -> Tenant:
        found = self.tenants.get(tenant)
        if found is None:
            raise UnknownTenant(f"The tenant {tenant!r} is not in the tenants file.")
        return found

    def dsn(self, tenant: str, default: SecretStr) -> str:
        """The PostgreSQL of a tenant, in the clear: for the driver only."""
        found = self.require(tenant).dsn
        return (found or default).get_secret_value()

    def by_key(self, key: str) -> str:
        """The tenant of an API key."""
        digest = key_digest(key)
        for name, tenant in self.tenants.items():
            if digest in tenant.keys:
                return name
        raise Unauthorized(f"The key that starts with {key[:4]!r} is not known.")


def key_digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
