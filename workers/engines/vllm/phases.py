"""How long vLLM took for weights, compilation and graphs, as its workers log it.

vLLM keeps none of these figures, but says each in a log line whose text is constant and whose arguments are
seconds. The module is imported in each of vLLM's workers, before they load the model, since
`worker_extension_cls` names its class.
"""

import logging

EXTENSION = f"{__name__}.PhaseReport"

_SECONDS_AT = {
    "Initializing model took %.6f seconds": ("model", 0),
    "Loading weights took %.2f seconds": ("read", 0),
    "Model loading took %s GiB memory and %.6f seconds": ("loaded", 1),
    "%storch.compile took %.2f s in total": ("compile", 1),
    "Graph capturing finished in %.0f secs, took %.2f GiB": ("graphs", 0),
}


class PhaseTimes(logging.Handler):
    """Keeps what it reads, for as long as its process lives."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.seconds: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        found = _SECONDS_AT.get(str(record.msg))
        if found is not None and isinstance(record.args, tuple):
            phase, at = found
            self.seconds[phase] = self.seconds.get(phase, 0.0) + float(str(record.args[at]))


class PhaseReport:
    """Methods that vLLM adds to its worker."""

    def askfleet_phases(self) -> dict[str, float]:
        """On GPUs `loaded` holds the two before it; on CPUs vLLM does not say it."""
        handlers = logging.getLogger("vllm").handlers
        told = next((handler.seconds for handler in handlers if isinstance(handler, PhaseTimes)), {})
        weights = told.get("loaded") or told.get("model", 0.0) + told.get("read", 0.0)
        return {"weights": weights} | {name: told.get(name, 0.0) for name in ("compile", "graphs")}


def _listen() -> None:
    logger = logging.getLogger("vllm")
    if not any(isinstance(handler, PhaseTimes) for handler in logger.handlers):
        logger.addHandler(PhaseTimes())


_listen()
