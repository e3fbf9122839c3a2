"""The tenants file of a local stack: one demo tenant, its key as a hash; the plain key beside it."""

import hashlib
import secrets

import yaml

from askfleet.state import KeyRing, StateFolder, write_private

DEMO_TENANT = "demo"


def ensure_tenants(state: StateFolder) -> None:
    """Write `tenants.yaml` and `keys.json` on the first start; a file that is there is left as it is."""
    if state.tenants.exists():
        return
    key = f"af_{secrets.token_urlsafe(24)}"
    write_private(state.keys, KeyRing(keys={DEMO_TENANT: key}).model_dump_json(indent=2))
    entry = {"keys": [hashlib.sha256(key.encode()).hexdigest()], "dsn": None}
    write_private(state.tenants, yaml.safe_dump({"tenants": {DEMO_TENANT: entry}}, sort_keys=False))
