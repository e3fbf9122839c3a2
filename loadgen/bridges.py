"""The bridges of a deployment in turn, and kept connections to them."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from contracts.errors import Misconfigured
from loadgen.sse import Connection

KEPT_S = 3.0
"""Servers close idle connections (uvicorn: after 5 s); ours are left out before that."""


@dataclass(frozen=True)
class Address:
    """Of a bridge. `prefix` is put before each path."""

    host: str
    port: int
    tls: bool = False
    prefix: str = ""

    @classmethod
    def of(cls, url: str) -> "Address":
        """Raises Misconfigured when it is no http or https address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Misconfigured(
                f"{url!r} is not the address of a bridge.", remedy="Give one such as http://127.0.0.1:8080."
            )
        tls = parts.scheme == "https"
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, parts.path.rstrip("/"))

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{self.prefix}"


@dataclass(frozen=True)
class _Idle:
    connection: Connection
    since: float


class Bridges:
    """Connections are given back by leaving the context of `connection`; broken ones are dropped."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = tuple(addresses)
        self._idle: dict[Address, list[_Idle]] = {address: [] for address in addresses}
        self._turn = 0
        self._tls = ssl.create_default_context() if any(each.tls for each in addresses) else None

    @property
    def addresses(self) -> tuple[Address, ...]:
        return self._addresses

    def next(self, *, but: Address | None = None) -> Address:
        """In turn; another one than `but` where there is one."""
        for _ in self._addresses:
            self._turn += 1
            found = self._addresses[self._turn % len(self._addresses)]
            if found != but:
                break
        return found

    @asynccontextmanager
    async def connection(self, address: Address, *, bytes_per_s: int = 0) -> AsyncIterator[Connection]:
        """Raises OSError or TimeoutError where nobody listens."""
        made = None if bytes_per_s else self._kept(address)
        if made is None:
            made = await self._open(address, bytes_per_s)
        whole = False
        try:
            yield made
            whole = True
        finally:
            if whole and not bytes_per_s and made.is_open:
                self._idle[address].append(_Idle(made, time.monotonic()))
            else:
                made.close()

    async def _open(self, address: Address, bytes_per_s: int) -> Connection:
        tls = self._tls if address.tls else None
        return await Connection.open(address.host, address.port, tls=tls, bytes_per_s=bytes_per_s)

    def _kept(self, address: Address) -> Connection | None:
        idle = self._idle[address]
        while idle:
            found = idle.pop()
            if found.connection.is_open and time.monotonic() - found.since < KEPT_S:
                return found.connection
            found.connection.close()
        return None

    async def close(self) -> None:
        for idle in self._idle.values():
            while idle:
                idle.pop().connection.close()
        await asyncio.sleep(0)
