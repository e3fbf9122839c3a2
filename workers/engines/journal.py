"""What an engine worked on, one line a start and an end, for who judges whether work stopped in time."""

import os
from pathlib import Path
from time import time_ns
from typing import Literal

from contracts.engine_note import EngineNote
from contracts.errors import Misconfigured


class EngineJournal:
    """A file of its own for each process. Each line is one appending write, so a SIGKILL loses none."""

    def __init__(self, folder: Path) -> None:
        name = f"engine-{os.getpid()}-{time_ns() // 1_000_000}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise Misconfigured(
                f"The engine's journal can't be written in {folder}: {error.strerror}.",
                remedy="Set AF_ENGINE_JOURNAL to a folder that this process may write to, or unset it.",
            ) from error
        self._requests = 0

    def begin(self, query_id: str) -> int:
        """A request takes a slot; returns its number."""
        self._requests += 1
        self._write("start", query_id, self._requests, 0)
        return self._requests

    def end(self, request: int, query_id: str, *, tokens: int, aborted: bool) -> None:
        self._write("abort" if aborted else "end", query_id, request, tokens)

    def close(self) -> None:
        os.close(self._file)

    def _write(
        self, what: Literal["start", "end", "abort"], query_id: str, request: int, tokens: int
    ) -> None:
        note = EngineNote(
            at=time_ns() // 1_000_000,
            what=what,
            query_id=query_id,
            pid=os.getpid(),
            request=request,
            tokens=tokens,
        )
        os.write(self._file, note.line())
