"""Real servers for the tests. A component that is missing skips locally and fails in CI."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from bus.connection import Bus, connect
from bus.provision import provision
from bus.settings import BusSettings
from bus.testing import NatsServer


@pytest.fixture(autouse=True, scope="session")
def _clean_environment() -> None:
    for name in [name for name in os.environ if name.startswith("AF_")]:
        del os.environ[name]


@pytest.fixture(autouse=True, scope="session")
def _heard_interrupts() -> None:
    """A shell starts background jobs with SIGINT ignored, which the processes of tests would inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A command that a test runs sends logs to that test's own stream, which is closed with it."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats").start()
    yield server
    server.stop()


@pytest.fixture
def nats_url(nats_server: NatsServer) -> str:
    return nats_server.url


@pytest.fixture
def bus_settings(nats_url: str) -> BusSettings:
    return BusSettings(nats_url=nats_url, ack_wait_s=2.0, publish_timeout_s=2.0)


@pytest.fixture
async def bus(bus_settings: BusSettings) -> AsyncIterator[Bus]:
    """A connection to a provisioned nats-server of the test's own."""
    async with connect(bus_settings, name="test") as connected:
        await provision(connected.js, bus_settings)
        yield connected
