"""A Ray cluster for the time of a run: an existing one, or one of its own on this machine."""

import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from askfleet.bulk.keeper import kept_folder
from askfleet.bulk.settings import RaySettings
from contracts.errors import DependencyUnavailable, Misconfigured

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
# Ray binds to all interfaces where it thinks that other machines may join; the name is Ray's own. The token
# is asked of everybody who speaks to it; without one Ray would keep one in the home folder.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
_MEGABYTE = 2**20
_CONNECT_S = 10.0


def check_installed() -> None:
    """Raises: Misconfigured: Ray is not."""
    if find_spec("ray") is None:
        raise Misconfigured(
            "`--engine ray` needs Ray, which is not installed.",
            remedy="Run `make ray`, or leave the option out: the ingest workers take documents too.",
        )


@contextmanager
def cluster(settings: RaySettings) -> Iterator[int]:
    """Connects, and yields the number of CPUs.

    Raises:
        Misconfigured: Ray is not installed, or the address is one of Ray Client.
        DependencyUnavailable: the cluster does not answer, or the local one does not start.
    """
    check_installed()
    if settings.address.startswith("ray://"):
        # Tried with 2.60: Ray Data asks for a core worker, which a client does not have.
        raise Misconfigured(
            f"Ray Data does not run through Ray Client ({settings.address}).",
            remedy="Run the command on a machine of the cluster, as its head, with --ray-address auto.",
        )
    os.environ.update(_QUIET)
    with _existing(settings) if settings.address else _local(settings):
        import ray

        try:
            yield int(ray.cluster_resources().get("CPU", 1))
        finally:
            ray.shutdown()


@contextmanager
def _existing(settings: RaySettings) -> Iterator[None]:
    host, _, port = settings.address.rpartition(":")
    try:
        if host:
            # Ray itself tries for minutes.
            socket.create_connection((host, int(port)), _CONNECT_S).close()
        import ray

        with _hushed():
            ray.init(settings.address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise DependencyUnavailable(
            f"No Ray cluster answers at {settings.address}: {_first_line(error)}",
            remedy="Check the address, RAY_AUTH_TOKEN, and that it has the same Ray and Python.",
        ) from error
    yield


@contextmanager
def _local(settings: RaySettings) -> Iterator[None]:
    """Reachable from this machine only; its logs and sockets lie in a folder that goes with it."""
    os.environ.update(_LOOPBACK | {"RAY_AUTH_TOKEN": secrets.token_hex(32)})
    import ray

    with kept_folder() as folder:
        try:
            with _hushed():
                ray.init(
                    "local",
                    num_cpus=settings.cpus,
                    num_gpus=0,
                    object_store_memory=settings.object_store_mb * _MEGABYTE,
                    include_dashboard=False,
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                    _temp_dir=str(folder),
                )
        except (RuntimeError, ValueError, OSError) as error:
            remedy = (
                "Look for memory, disk and processes that are left; AF_RAY_OBJECT_STORE_MB can be smaller."
            )
            raise DependencyUnavailable(f"Ray does not start: {_first_line(error)}", remedy=remedy) from error
        yield


@contextmanager
def _hushed() -> Iterator[None]:
    """Ray's core says on the process' own stderr which log level it was given; nothing stops it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
