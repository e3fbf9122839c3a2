"""The processes of a local stack by name: looked up anew each time, since they come and go."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

SAME_WITHIN_S = 1.5
"""The time at which a process began is computed from the time of the boot, in whole seconds."""


class _Process(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    started_at: float
    ready: bool


class _Record(BaseModel):
    """The part of `stack.json` that is needed here."""

    model_config = ConfigDict(frozen=True)

    processes: tuple[_Process, ...] = ()


class StackProcesses:
    """Of the stack on one state folder. A pid that went to another process since is never returned."""

    def __init__(self, state: Path) -> None:
        self._record = state / "stack.json"
        self._held = state / "held"

    def alive(self) -> dict[str, psutil.Process]:
        """Those that serve: not those that are just being started."""
        return {
            recorded.name: process
            for recorded in self._recorded()
            if recorded.ready and (process := _same(recorded)) is not None
        }

    def find(self, name: str) -> psutil.Process | None:
        """None while it is away."""
        recorded = next((found for found in self._recorded() if found.name == name and found.ready), None)
        return None if recorded is None else _same(recorded)

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """The supervisor does not start that process again while the context is open."""
        self._held.mkdir(exist_ok=True)
        file = self._held / name
        file.touch()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)

    def _recorded(self) -> tuple[_Process, ...]:
        try:
            return _Record.model_validate_json(self._record.read_bytes()).processes
        except (FileNotFoundError, ValidationError):
            return ()


def _same(recorded: _Process) -> psutil.Process | None:
    try:
        process = psutil.Process(recorded.pid)
        if abs(process.create_time() - recorded.started_at) > SAME_WITHIN_S:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None
