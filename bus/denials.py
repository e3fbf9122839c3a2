"""What the server denies: it says so beside the conversation, and a request that was denied has no answer.

Without this, a publish on a forbidden subject would wait for its time limit and tell nothing.
"""

import asyncio
import re
from types import TracebackType

import structlog

from contracts.errors import PermissionDenied

log = structlog.get_logger(__name__)

_VIOLATION = re.compile(
    r"permissions violation for (publish|subscription)(?: with reply of| to) \"([^\"]+)\""
)


class Denials:
    """`note` takes each error of the connection; `guard` ends the request that one of them is about."""

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._guards: dict[str, list[Guard]] = {}

    def note(self, error: Exception) -> bool:
        """Whether `error` is a denial; it is logged, and the requests that wait on its subject are ended."""
        found = _VIOLATION.search(str(error).lower())
        if found is None:
            return False
        verb, subject = found.groups()
        log.warning(
            "NATS denies a subject to these credentials; what needs it does not happen",
            action="nats_denied",
            connection=self._name,
            verb=verb,
            subject=subject,
        )
        for guard in self._guards.get(subject, ()):
            guard.deny()
        return True

    def guard(self, subject: str) -> "Guard":
        """A context for one request on `subject`: raises PermissionDenied as soon as the server denies it."""
        return Guard(self._guards, subject)


class Guard:
    """Ends the task that waits inside it, as `asyncio.timeout` does; costs no task of its own."""

    def __init__(self, guards: dict[str, list["Guard"]], subject: str) -> None:
        self._guards = guards
        self._subject = subject
        # The client hands on the server's errors in lower case.
        self._key = subject.lower()
        self._task: asyncio.Task[object] | None = None
        self._denied = False

    def deny(self) -> None:
        if self._task is not None and not self._denied:
            self._denied = True
            self._task.cancel()

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._guards.setdefault(self._key, []).append(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        waiting = self._guards[self._key]
        waiting.remove(self)
        if not waiting:
            del self._guards[self._key]
        if not self._denied or self._task is None:
            return
        cancelled_by_others = self._task.uncancel() > 0
        if kind is asyncio.CancelledError and not cancelled_by_others:
            raise PermissionDenied(f"NATS denies {self._subject!r} to these credentials.") from error
