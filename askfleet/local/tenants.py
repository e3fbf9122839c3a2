"""The tenants of a local stack: a demo tenant with its API key, and the NATS keys of all who connect."""

import hashlib
import secrets

import yaml

from askfleet.local.state import KeyRing, StateFolder, write_private
from bus.keys import PublicKeys
from bus.permissions import FLEET_ROLES
from workers.shell.tenants import Tenants, key_digest

DEMO_TENANT = "demo"


def ensure_tenants(state: StateFolder) -> None:
    """Write `tenants.yaml` and `keys.json` on the first start; a file that is there is left as it is."""
    if state.tenants.exists():
        return
    key = f"af_{secrets.token_urlsafe(24)}"
    write_private(state.keys, KeyRing(keys={DEMO_TENANT: key}).model_dump_json(indent=2))
    entry = {"keys": [hashlib.sha256(key.encode()).hexdigest()], "dsn": None}
    write_private(state.tenants, yaml.safe_dump({"tenants": {DEMO_TENANT: entry}}, sort_keys=False))


def operator_key_digest(state: StateFolder) -> str:
    """SHA-256 of the key to the operator's page; makes the key unless there is one."""
    if not state.operator_key.exists():
        write_private(state.operator_key, f"af_op_{secrets.token_urlsafe(24)}\n")
    return key_digest(state.operator_key.read_text().strip())


def public_keys(state: StateFolder) -> PublicKeys:
    """Who NATS lets in: every role and each tenant of the tenants file; makes the seeds that are missing."""
    tenants = Tenants.load(state.tenants).tenants
    return state.nats_keys.ensure((role.name for role in FLEET_ROLES), tenants)
