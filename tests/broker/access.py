"""A nats-server with permissions, and connections in the name of a role or a tenant."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bus.connection import Bus, connect
from bus.keys import KeyFolder
from contracts.errors import PermissionDenied

ACME, OTHER = "acme", "other"
DENIED_WITHIN_S = 5.0


@dataclass(frozen=True)
class Access:
    url: str
    keys: KeyFolder

    @asynccontextmanager
    async def role(self, name: str) -> AsyncIterator[Bus]:
        async with connect(self.keys.settings(self.url, name), name=name) as bus:
            yield bus

    @asynccontextmanager
    async def publisher(self, tenant: str = ACME) -> AsyncIterator[Bus]:
        async with connect(self.keys.tenant_settings(self.url, tenant), name=f"publisher {tenant}") as bus:
            yield bus


async def assert_publish_denied(bus: Bus, subject: str) -> None:
    """The server says no, and the subject is named."""
    with pytest.raises(PermissionDenied, match=re.escape(subject)):
        await _denial(bus, subject, bus.nc.publish(subject, b"", reply=bus.nc.new_inbox()))


async def assert_subscribe_denied(bus: Bus, subject: str) -> None:
    with pytest.raises(PermissionDenied, match=re.escape(subject)):
        await _denial(bus, subject, bus.nc.subscribe(subject))


async def _denial(bus: Bus, subject: str, attempt: Awaitable[object]) -> None:
    async with asyncio.timeout(DENIED_WITHIN_S):
        with bus.denials.guard(subject):
            await attempt
            await asyncio.Event().wait()
