"""Loopback ports of the stack: free when first asked for, then the same ones after each restart."""

import json
import socket
from pathlib import Path


class PortBook:
    """Remembers in a file which process had which port, so that URLs stay valid over a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        self._given: set[int] = set()

    def port(self, name: str, *, wanted: int = 0) -> int:
        """The port of `name`; a new one if its former port is taken. `wanted` overrides the memory."""
        port = wanted or self._remembered(name) or self._free()
        self._given.add(port)
        if self._ports.get(name) != port:
            self._ports[name] = port
            self._path.write_text(json.dumps(self._ports, indent=2))
        return port

    def _remembered(self, name: str) -> int | None:
        port = self._ports.get(name)
        return port if port and port not in self._given and is_free(port) else None

    def _free(self) -> int:
        taken = self._given | set(self._ports.values())
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in taken:
                return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Without it, connections in TIME_WAIT from the last run make the port look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
