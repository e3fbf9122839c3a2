"""What an engine tells the worker that opens it: how long each phase of its start took, and its death."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import psutil

Phase = Literal["process", "start", "weights", "compile", "graphs", "warm-up"]
"""`process`: from the begin of the process until the engine is asked to start. `start` is the whole start of
the engine; those that tell more have the other phases within it."""


def _unheard(_: object, __: object = None) -> None:
    return None


@dataclass(frozen=True)
class EngineNews:
    """`phase` is told seconds; `died` why an engine will not answer again: the process has to end."""

    phase: Callable[[Phase, float], None] = _unheard
    died: Callable[[str], None] = _unheard

    @contextmanager
    def timed(self, phase: Phase) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.phase(phase, time.perf_counter() - began)


def process_age_s() -> float:
    return max(0.0, time.time() - psutil.Process().create_time())
