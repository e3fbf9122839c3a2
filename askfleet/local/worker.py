"""A worker of ours as a child process, configured through its environment."""

import sys
from collections.abc import Mapping
from pathlib import Path

from askfleet.local.child import Child, ChildSpec, Running, executed, serves
from askfleet.local.fork_client import ForkServer

READY_WITHIN_S = 90.0
GRACE_S = 25.0


def worker_process(
    kind: str,
    *,
    name: str,
    log: Path,
    port: int,
    environment: Mapping[str, str],
    fork_server: ForkServer | None = None,
) -> Child:
    """`python -m workers.<kind>`, forked if that can be; ready when its `/readyz` on `port` says so."""

    async def spawn(spec: ChildSpec) -> Running:
        forked = fork_server.fork(kind, spec) if fork_server is not None else None
        return forked or await executed(spec)

    return Child(
        ChildSpec(
            name=name,
            # -P: a folder called `workers` where the command was given must not be imported instead of ours.
            command=(sys.executable, "-P", "-m", f"workers.{kind}"),
            log=log,
            address=f"http://127.0.0.1:{port}",
            ready=lambda: serves(port, "/readyz"),
            environment={**environment, "AF_HTTP_HOST": "127.0.0.1", "AF_HTTP_PORT": str(port)},
            ready_within_s=READY_WITHIN_S,
            grace_s=GRACE_S,
        ),
        spawn=spawn,
    )
