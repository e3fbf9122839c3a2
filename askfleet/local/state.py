"""The state folder: data, logs, and what other commands need to find a running stack."""

import os
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from bus.keys import KeyFolder
from contracts.errors import Misconfigured

DEFAULT_STATE_DIR = Path(".askfleet")


class ProcessRecord(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    address: str = ""
    pid: int
    started_at: float
    """Epoch seconds; with the pid it names one process, since pids are used again."""
    ready: bool = True


class StackRecord(BaseModel):
    """Written to `stack.json` while a stack runs."""

    model_config = ConfigDict(frozen=True)

    pid: int
    bridge_urls: tuple[str, ...]
    phoenix_url: str = ""
    ops_url: str = ""
    nats_url: str
    nats_monitor_url: str
    nats_keys: Path
    milvus_uri: str
    sql_dsn: str
    tenants_file: Path
    semantic_model: Path | None = None
    processes: tuple[ProcessRecord, ...] = ()


class KeyRing(BaseModel):
    """`keys.json`: plain API keys of the demo, by tenant."""

    model_config = ConfigDict(frozen=True)

    keys: dict[str, str]


class StateFolder:
    """Paths below one folder, and the private files in it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.lock = self.root / "lock"
        self.ports = self.root / "ports.json"
        self.tenants = self.root / "tenants.yaml"
        self.keys = self.root / "keys.json"
        self.operator_key = self.root / "operator-key"
        self.nats_keys = KeyFolder(self.root / "nats-keys")
        self.scaling = self.root / "scaling.json"
        self._stack = self.root / "stack.json"

    def data(self, name: str) -> Path:
        return self.root / "data" / name

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def is_held(self, name: str) -> bool:
        """A process that has ended stays away while a file `held/<name>` is there: for drills of outages."""
        return (self.root / "held" / name).exists()

    def write_stack(self, record: StackRecord) -> None:
        write_private(self._stack, record.model_dump_json(indent=2))

    def remove_stack(self) -> None:
        self._stack.unlink(missing_ok=True)
        self.scaling.unlink(missing_ok=True)

    def former_stack(self) -> StackRecord | None:
        """What a stack left that did not stop cleanly; None when there is nothing, or nothing readable."""
        try:
            return StackRecord.model_validate_json(self._stack.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def running_stack(self) -> StackRecord:
        """Raises Misconfigured when no stack runs on this folder."""
        record = self.former_stack()
        if record is None or not psutil.pid_exists(record.pid):
            raise Misconfigured(
                f"No stack runs on {self.root}.",
                remedy="Start one with `askfleet up`, or name its folder with --state-dir or AF_STATE_DIR.",
            )
        return record

    def key(self, tenant: str) -> str:
        """The plain API key of a tenant of the local stack; raises Misconfigured when it is not kept here."""
        ring = KeyRing.model_validate_json(self.keys.read_bytes()) if self.keys.exists() else KeyRing(keys={})
        if tenant not in ring.keys:
            raise Misconfigured(
                f"{self.keys} holds no key of tenant {tenant!r}.",
                remedy="Give the key with --key or AF_API_KEY.",
            )
        return ring.keys[tenant]


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step; nobody but the owner may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
