"""Phoenix, which shows traces, from an environment of its own: its 160 packages serve nothing else here."""

import sys
from collections.abc import Sequence
from pathlib import Path

from askfleet.local.child import Child, ChildSpec, serves
from askfleet.local.ports import PortBook
from contracts.errors import Misconfigured

READY_WITHIN_S = 240.0
"""It starts in 15 to 60 s, and in two minutes where nothing of it is compiled yet."""
GRACE_S = 10.0
_PLACES = (Path(sys.prefix).parent / ".venv-phoenix", Path(".venv-phoenix").absolute())
"""Beside our own environment, or where the command was given."""
_MAIN = "lib/python3*/site-packages/phoenix/server/main.py"


class PhoenixServer(Child):
    """Data in `folder`; the port stays the same over restarts, so that links stay valid.

    Raises Misconfigured where it is not installed.
    """

    def __init__(self, folder: Path, log: Path, ports: PortBook) -> None:
        self._folder = folder.absolute()
        self._port = ports.port("phoenix")
        grpc_port = ports.port("phoenix-grpc")
        super().__init__(
            ChildSpec(
                name="phoenix",
                command=(str(interpreter()), "-P", "-m", "phoenix.server.main", "serve"),
                log=log,
                address=self.url,
                ready=lambda: serves(self._port, "/healthz"),
                ready_within_s=READY_WITHIN_S,
                environment={
                    "PHOENIX_WORKING_DIR": str(self._folder),
                    "PHOENIX_HOST": "127.0.0.1",
                    "PHOENIX_PORT": str(self._port),
                    "PHOENIX_GRPC_PORT": str(grpc_port),
                    # What it asks of others by itself: nothing.
                    "PHOENIX_TELEMETRY_ENABLED": "false",
                    "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
                    "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
                    "PHOENIX_ENABLE_MCP_SERVER": "false",
                },
                grace_s=GRACE_S,
            )
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def trace_link(self) -> str:
        """With `{trace_id}` in it."""
        return f"{self.url}/redirects/traces/{{trace_id}}"

    async def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        await super().start()


def interpreter(places: Sequence[Path] = _PLACES) -> Path:
    """The Python of Phoenix's environment; raises Misconfigured where it is not installed."""
    found = environment(places)
    if found is None:
        raise Misconfigured(
            f"Phoenix is not installed: there is no {places[0]}.",
            remedy="Install it with `make phoenix` (625 MB), or leave --phoenix out.",
        )
    return found / "bin" / "python"


def environment(places: Sequence[Path] = _PLACES) -> Path | None:
    """Where Phoenix is installed; None where it is not."""
    return next((place for place in places if any(place.glob(_MAIN))), None)
