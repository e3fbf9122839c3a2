"""Reading JSON from a service that may be slow, refuse for a while, or drop the connection."""

import asyncio
import base64
import json
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import monotonic
from urllib.parse import urljoin, urlsplit

import httpx
import structlog

from askfleet.sources.fields import Object
from contracts.errors import DecodeError, DependencyUnavailable, Misconfigured, RateLimited

_log = structlog.get_logger("askfleet.sources")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_AGAIN = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Patience:
    """How often a request is made, and how long it waits in between, in seconds.

    The pause doubles from `first_s` up to `longest_s`; what a service asks for with Retry-After is waited for
    up to `throttled_s`, and a service that asks for more ends the run.
    """

    attempts: int = 8
    first_s: float = 0.5
    longest_s: float = 60.0
    throttled_s: float = 300.0
    timeout_s: float = 60.0
    max_bytes: int = 128_000_000


@dataclass(frozen=True)
class Credentials:
    """With an e-mail address basic authentication, else a bearer token; without a token none."""

    token: str = field(default="", repr=False)
    email: str = ""

    @property
    def headers(self) -> dict[str, str]:
        if not self.token:
            return {}
        if not self.email:
            return {"Authorization": f"Bearer {self.token}"}
        pair = base64.b64encode(f"{self.email}:{self.token}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}


class NotFound(Misconfigured):
    code = "not-found"
    title = "The service does not know the address"
    status = 404


def credentials(kind: str, environment: Mapping[str, str] | None = None) -> Credentials:
    """From `AF_<KIND>_TOKEN` or the file that `AF_<KIND>_TOKEN_FILE` names, and `AF_<KIND>_EMAIL`.

    Raises:
        Misconfigured: the file can't be read.
    """
    known = os.environ if environment is None else environment
    prefix = f"AF_{kind.upper()}_"
    token, path = known.get(prefix + "TOKEN", ""), known.get(prefix + "TOKEN_FILE", "")
    if path and not token:
        try:
            token = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(
                f"{prefix}TOKEN_FILE={path}: {error}.",
                remedy="Name a readable file that holds the token alone.",
            ) from error
    if not token.isascii() or any(sign.isspace() for sign in token):
        raise Misconfigured(
            f"The token of {prefix}TOKEN holds blanks or signs that are not ASCII.", remedy="Copy it again."
        )
    email = known.get(prefix + "EMAIL", "")
    if email and kind == "zendesk" and not email.endswith("/token"):
        # How Zendesk tells an API token from a password.
        email += "/token"
    return Credentials(token, email)


class Site:
    """One service; async context manager. Addresses of other hosts are not followthey'd see the token."""

    def __init__(self, url: str, who: Credentials, *, patience: Patience = Patience()) -> None:
        self.url = url.rstrip("/") + "/"
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Misconfigured(f"{url!r} is no address of a service.", remedy="Give https://HOST.")
        if parts.username or parts.password:
            raise Misconfigured(
                f"The address of {parts.hostname} holds a password.",
                remedy="Put the token in the environment.",
            )
        if parts.scheme == "http" and who.token and parts.hostname not in _LOOPBACK:
            raise Misconfigured(
                f"{url}: the token would travel unencrypted.",
                remedy="Give an address that begins with https://.",
            )
        self.host = parts.netloc
        self._patience = patience
        headers = {"Accept": "application/json", **who.headers}
        self._client = httpx.AsyncClient(headers=headers, timeout=patience.timeout_s, follow_redirects=False)

    async def __aenter__(self) -> "Site":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def read(self, path: str, **parameters: str | int) -> Object:
        """The JSON object at a path below the site's address, or at an address that the site itself gave.

        Raises:
            RateLimited, DependencyUnavailable: in vain, as often and as long as `Patience` allows.
            Misconfigured: the token is refused, or the address leads elsewhere. NotFound: 404.
            DecodeError: no JSON object.
        """
        url = self._address(path)
        started = monotonic()
        for attempt in range(1, self._patience.attempts + 1):
            try:
                response, body = await self._get(url, parameters)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}".rstrip(": ")
                pause = self._growing(attempt)
            else:
                if response.status_code not in _AGAIN:
                    return self._object(response, body, path)
                problem = f"it answers {response.status_code}"
                pause = self._asked_for(response) or self._growing(attempt)
            if attempt < self._patience.attempts:
                _log.warning(
                    "source will be asked again",
                    action="source-retry",
                    path=urlsplit(url).path,
                    problem=problem,
                    attempt=attempt,
                    pause_s=round(pause, 2),
                )
                await asyncio.sleep(pause)
        raise DependencyUnavailable(
            f"{self.host}{urlsplit(url).path}: {problem}, {self._patience.attempts} times in "
            f"{monotonic() - started:.0f} s.",
            remedy="Run the same command later: it goes on where it stopped.",
        )

    def _address(self, path: str) -> str:
        url = urljoin(self.url, path)
        here, there = urlsplit(self.url), urlsplit(url)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            raise DecodeError(
                f"{self.host} names the next page at {there.scheme}://{there.netloc}.",
                raw=url.encode(),
                remedy="Give the address that the service itself uses; other hosts do not get the token.",
            )
        return url

    async def _get(self, url: str, parameters: Mapping[str, str | int]) -> tuple[httpx.Response, bytes]:
        """Bounded in size and in time as a whole: a service may trickle."""
        longest_s = self._patience.timeout_s * 5
        try:
            async with (
                asyncio.timeout(longest_s),
                self._client.stream("GET", url, params=parameters or None) as got,
            ):
                return got, await self._body(got, url)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"not read after {longest_s:g} s") from error

    async def _body(self, response: httpx.Response, url: str) -> bytes:
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > self._patience.max_bytes:
                raise DecodeError(
                    f"{self.host}{urlsplit(url).path}: more than {self._patience.max_bytes:,} bytes.",
                    raw=b"",
                    remedy="Ask for smaller pages with --page-size.",
                )
        return bytes(body)

    def _object(self, response: httpx.Response, body: bytes, path: str) -> Object:
        status, where = response.status_code, f"{self.host}/{path.split('?')[0].lstrip('/')}"
        if status == 404:
            raise NotFound(
                f"{where} is not there (404).", remedy="Check the address and what the token may read."
            )
        if status in (401, 403):
            raise Misconfigured(
                f"{where} refuses the token ({status}).",
                remedy="Check the token, its e-mail address, and what it may read.",
            )
        if 300 <= status < 400:
            raise Misconfigured(
                f"{where} has moved to {response.headers.get('Location', '?')[:200]}.",
                remedy="Give that address.",
            )
        if status >= 400:
            said = body[:300].decode("utf-8", "replace")
            raise Misconfigured(
                f"{where} answers {status}: {said}", remedy="Check --jql, --since and the address."
            )
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise DecodeError(
                f"{where}: {body[:60]!r} is no JSON object.", raw=body[:2000], remedy="Check the address."
            )
        return found

    def _growing(self, attempt: int) -> float:
        """Full jitter on the upper half: clients that were refused at once do not come back at once."""
        pause: float = min(self._patience.first_s * 2 ** (attempt - 1), self._patience.longest_s)
        return pause * (0.5 + random.random() / 2)  # noqa: S311

    def _asked_for(self, response: httpx.Response) -> float:
        """Seconds of Retry-After, as a number or a date; 0 without one. Raises RateLimited beyond the cap."""
        stated = response.headers.get("Retry-After", "")
        try:
            pause = float(stated)
        except ValueError:
            pause = _seconds_until(stated)
        if pause > self._patience.throttled_s:
            raise RateLimited(
                f"{self.host} asks to come again in {pause:,.0f} s.",
                retry_after_s=pause,
                remedy="Run the same command then: it goes on where it stopped.",
            )
        return max(pause, 0.0) if pause == pause else 0.0


def _seconds_until(date: str) -> float:
    try:
        return (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return 0.0
