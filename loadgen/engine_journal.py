"""The journals of simulated engines: read while they are written, and written by the simulated server."""

import os
from dataclasses import replace
from pathlib import Path
from time import time_ns
from typing import Literal

import structlog
from pydantic import ValidationError

from contracts.engine_note import EngineNote
from loadgen.witness import EngineUse

log = structlog.get_logger(__name__)


class EngineJournal:
    """`read` takes in what was written since the last time; `uses` has the requests by query."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}
        self._open: dict[tuple[Path, int], EngineUse] = {}
        self.uses: dict[str, list[EngineUse]] = {}

    def read(self) -> None:
        for path in sorted(self._folder.glob("*.jsonl")):
            for note in self._fresh(path):
                self._add(path, note)

    def forget(self, query_id: str) -> None:
        for use in self.uses.pop(query_id, ()):
            if not use.ended:
                self._open = {key: found for key, found in self._open.items() if found is not use}

    def _fresh(self, path: Path) -> list[EngineNote]:
        """Whole lines only: a worker may be in the middle of a write."""
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0))
            read = file.read()
        whole = read[: read.rfind(b"\n") + 1]
        self._offsets[path] = self._offsets.get(path, 0) + len(whole)
        notes = []
        for line in whole.splitlines():
            try:
                notes.append(EngineNote.model_validate_json(line))
            except ValidationError:
                log.warning("a line of a journal can't be read", action="journal_line", file=path.name)
        return notes

    def _add(self, path: Path, note: EngineNote) -> None:
        key = (path, note.request)
        if note.what == "start":
            use = self._open[key] = EngineUse(note.query_id, note.pid, note.at)
            self.uses.setdefault(note.query_id, []).append(use)
            return
        started = self._open.pop(key, None)
        if started is None:
            return
        aborted = note.what == "abort"
        ended = replace(started, ended=note.at, tokens=note.tokens, aborted=aborted)
        self.uses[note.query_id] = [ended if use is started else use for use in self.uses[note.query_id]]


class EngineNotes:
    """Writes a journal; each line is one appending write, so a SIGKILL loses none."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"server-{os.getpid()}-{_now_ms()}.jsonl"
        self._requests = 0

    def begin(self, query_id: str) -> int:
        self._requests += 1
        self._write("start", query_id, self._requests, 0)
        return self._requests

    def end(self, request: int, query_id: str, *, tokens: int, aborted: bool) -> None:
        self._write("abort" if aborted else "end", query_id, request, tokens)

    def _write(
        self, what: Literal["start", "end", "abort"], query_id: str, request: int, tokens: int
    ) -> None:
        note = EngineNote(
            at=_now_ms(), what=what, query_id=query_id, pid=os.getpid(), request=request, tokens=tokens
        )
        with self._path.open("ab", buffering=0) as file:
            file.write(note.line())


def _now_ms() -> int:
    return time_ns() // 1_000_000
