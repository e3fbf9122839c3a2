"""One stack per state folder: an advisory lock that the kernel releases when its holder dies."""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from contracts.errors import Misconfigured


class StateLock:
    """Context manager; the file holds the pid of the holder and is gone afterwards."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> "StateLock":
        """Raises Misconfigured when another process holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while self._descriptor < 0:
            self._descriptor = self._acquire()
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1

    def _acquire(self) -> int:
        """A descriptor, or -1 when the file was removed by its former holder in between."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode() or "unknown"
            os.close(descriptor)
            raise Misconfigured(
                f"A stack runs already on {self._path.parent} (pid {holder}).",
                remedy=f"Stop it with `kill {holder}`, or choose another folder with --state-dir.",
            ) from None
        if self._is_current(descriptor):
            return descriptor
        os.close(descriptor)
        return -1

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False
