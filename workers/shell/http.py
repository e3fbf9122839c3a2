"""An HTTP server inside a worker: probes and metrics for everybody, the whole API for the bridge."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from contracts.errors import Misconfigured
from workers.shell.sockets import SLOW_READER_S, impatient

Ready = Callable[[], dict[str, bool]]
"""Named conditions; the worker is ready when all hold."""

Page = Callable[[], bytes]
"""The metrics, as Prometheus reads them."""

STOP_GRACE_S = 2
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Server(uvicorn.Server):
    """Leaves signals to the worker's own app."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def health_app(ready: Ready, metrics: Page) -> Any:
    """An ASGI app with the probes and metrics. Liveness: the loop turns; readiness: why not to send work."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/metrics":
            status, body, kind = 200, metrics(), METRICS_TYPE
        else:
            (status, body), kind = probe(scope["path"], ready), "application/json"
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def probe(path: str, ready: Ready) -> tuple[int, bytes]:
    if path == "/healthz":
        return 200, b'{"status": "ok"}'
    if path == "/readyz":
        conditions = ready()
        return (200 if all(conditions.values()) else 503), json.dumps(conditions).encode()
    return 404, b'{"detail": "only /healthz, /readyz and /metrics are served here"}'


@asynccontextmanager
async def serve(
    app: Any,
    *,
    host: str,
    port: int,
    slow_reader_s: float = SLOW_READER_S,
    on_slow: Callable[[], None] = lambda: None,
) -> AsyncIterator[int]:
    """Serve an ASGI app while the context is open; yields the port.

    Args:
        slow_reader_s: a client that takes nothing of what waits for it is disconnected after so long.
        on_slow: called for each that is.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=impatient(slow_reader_s, on_slow),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=STOP_GRACE_S,
        server_header=False,
        date_header=False,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 (uvicorn offers a flag only)
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Misconfigured(
            f"Can't listen on {host}:{port}: {error.strerror}.", remedy="Set AF_HTTP_PORT to a free port."
        ) from error
    listener.listen(1024)
    return listener
