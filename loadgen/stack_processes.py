"""The processes of a local stack by name: looked up anew each time, since they come and go."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from loadgen.openai_process import OpenAIProcess

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
    """Of the stack on one state folder. A pid that went to another process since is never returned.

    Args:
        beside: servers that the stack uses and did not start, by name.
    """

    def __init__(self, state: Path, beside: Mapping[str, OpenAIProcess] = MappingProxyType({})) -> None:
        self._record = state / "stack.json"
        self._held = state / "held"
        self._beside = beside

    def alive(self) -> dict[str, psutil.Process]:
        """Those that serve: not those that are just being started."""
        own = {
            recorded.name: process
            for recorded in self._recorded()
            if recorded.ready and (process := _same(recorded)) is not None
        }
        found = {name: server.find() for name, server in self._beside.items()}
        return own | {name: process for name, process in found.items() if process is not None}

    def find(self, name: str) -> psutil.Process | None:
        """None while it is away."""
        if name in self._beside:
            return self._beside[name].find()
        recorded = next((found for found in self._recorded() if found.name == name and found.ready), None)
        return None if recorded is None else _same(recorded)

    def held(self, name: str) -> AbstractContextManager[None]:
        """That process is not started again while the context is open."""
        return self._beside[name].held() if name in self._beside else self._held_back(name)

    @contextmanager
    def _held_back(self, name: str) -> Iterator[None]:
        """By a file, at which the supervisor looks."""
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
