"""What vLLM's scheduler says of its load after each step, handed to the headroom."""

from typing import Protocol

from workers.engines.vllm.headroom import Headroom


class SchedulerLoad(Protocol):
    """Of vLLM's statistics what is read here."""

    num_running_reqs: int
    num_waiting_reqs: int
    kv_cache_usage: float


class LoadObserver:
    """vLLM calls it as one of its stat loggers (`StatLoggerBase`), in our event loop."""

    def __init__(self, headroom: Headroom) -> None:
        self._headroom = headroom

    def __call__(self, vllm_config: object, engine_index: int = 0) -> "LoadObserver":
        """As the factory of a logger for one engine core: there is one here."""
        return self

    def record(
        self,
        scheduler_stats: SchedulerLoad | None,
        iteration_stats: object,
        mm_cache_stats: object = None,
        engine_idx: int = 0,
    ) -> None:
        if scheduler_stats is not None:
            self._headroom.running = scheduler_stats.num_running_reqs
            self._headroom.waiting = scheduler_stats.num_waiting_reqs
            self._headroom.usage = scheduler_stats.kv_cache_usage

    def log(self) -> None:
        return None

    def log_engine_initialized(self) -> None:
        return None

    def record_sleep_state(self, is_awake: int, level: int) -> None:
        return None
