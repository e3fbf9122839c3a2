"""The Milvus Lite server: Milvus' own gRPC protocol from a pure Python process."""

import signal
import sys
from pathlib import Path

from askfleet.local.child import Child, ChildSpec, accepts_connections
from askfleet.local.ports import PortBook

READY_WITHIN_S = 90.0
GRACE_S = 15.0


class MilvusServer(Child):
    """Data in `folder`; the port stays the same over restarts."""

    def __init__(self, folder: Path, log: Path, ports: PortBook) -> None:
        self._folder = folder.absolute()
        self._port = ports.port("milvus")
        super().__init__(
            ChildSpec(
                name="milvus",
                command=(
                    *(sys.executable, "-u", "-m", "milvus_lite", "server"),
                    *("--data-dir", str(self._folder)),
                    *("--host", "127.0.0.1", "--port", str(self._port)),
                ),
                log=log,
                address=self.uri,
                ready=lambda: accepts_connections(self._port),
                ready_within_s=READY_WITHIN_S,
                # Its searches are small: threads of BLAS and faiss would spin beside the one that works.
                environment={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                # It closes its collections on KeyboardInterrupt only; SIGTERM would cut it off.
                stop_signal=signal.SIGINT,
                grace_s=GRACE_S,
            )
        )

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        await super().start()
