"""What was sent, and where each source was left: one SQLite file per tenant and kind of source.

A page is written down as a whole, after the workers reported on its documents: a run that is killed repeats
the page it was in, and workers skip what they have indexed already.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

from contracts.document import Document
from contracts.errors import Misconfigured

DELETED = "deleted"
_TABLES = """
CREATE TABLE IF NOT EXISTS documents
  (id TEXT PRIMARY KEY, origin TEXT NOT NULL, digest TEXT NOT NULL, run TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (origin TEXT PRIMARY KEY, cursor TEXT NOT NULL);
"""
# A document stays with the source that brought it first: only that one's full run may find it gone.
_KEEP = """
INSERT INTO documents VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, run = excluded.run
"""


class Ledger:
    """Context manager; held by one process at a time, and let go by the kernel when that dies.

    Raises:
        Misconfigured: another run holds it, or the file is no ledger.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # A run reads lazily on a thread of its own: one at a time, never side by side.
        self._base = sqlite3.connect(path, timeout=0.2, isolation_level=None, check_same_thread=False)

    def __enter__(self) -> "Ledger":
        try:
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
            # Survives a killed process; what a power cut takes is sent once more.
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.execute("BEGIN EXCLUSIVE")
            for statement in _TABLES.strip().split(";\n"):
                self._base.execute(statement)
            self._base.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._base.close()
            busy = "locked" in str(error)
            raise Misconfigured(
                f"{self._path}: {'another run is using it' if busy else error}.",
                remedy="Wait for the other run to end."
                if busy
                else "Remove the file: all is sent once more.",
            ) from error
        self._path.chmod(0o600)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base.close()

    def cursor(self, origin: str) -> str:
        """JSON; empty when the source was never read."""
        row = self._base.execute("SELECT cursor FROM cursors WHERE origin = ?", (origin,)).fetchone()
        return str(row[0]) if row else ""

    def digest_of(self, document_id: str) -> str:
        """Empty when it was never sent."""
        row = self._base.execute("SELECT digest FROM documents WHERE id = ?", (document_id,)).fetchone()
        return str(row[0]) if row else ""

    def seen(self, document_ids: Iterable[str], *, origin: str, run: str) -> None:
        """They are still in the source, unchanged."""
        rows = [(run, document_id, origin) for document_id in document_ids]
        self._base.execute("BEGIN")
        self._base.executemany("UPDATE documents SET run = ? WHERE id = ? AND origin = ?", rows)
        self._base.execute("COMMIT")

    def keep(self, digests: Mapping[str, str], *, origin: str, run: str, cursor: str) -> None:
        """Documents that arrived, and the place behind their page."""
        kept = [(document_id, origin, digest, run) for document_id, digest in digests.items()]
        self._base.execute("BEGIN")
        self._base.executemany(_KEEP, kept)
        if cursor:
            self._base.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (origin, cursor))
        self._base.execute("COMMIT")

    def not_seen(self, *, origin: str, run: str) -> list[str]:
        """Documents of the source that this run did not meet."""
        rows = self._base.execute(
            "SELECT id FROM documents WHERE origin = ? AND run != ? AND digest != ? ORDER BY id",
            (origin, run, DELETED),
        )
        return [str(row[0]) for row in rows]

    def number_of(self, origin: str) -> int:
        """Documents of the source that are not deleted."""
        query = "SELECT count(*) FROM documents WHERE origin = ? AND digest != ?"
        row = self._base.execute(query, (origin, DELETED)).fetchone()
        return int(row[0])


def digest(document: Document) -> str:
    """Changes with anything that a worker would index otherwise; a deletion has one of its own."""
    if document.action == "delete":
        return DELETED
    stated = repr((document.media_type, document.title, document.source)).encode("utf-8", "replace")
    return hashlib.sha256(stated + document.content).hexdigest()
