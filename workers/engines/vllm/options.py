"""From our settings to vLLM's."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.errors import Misconfigured
from workers.engines.port import GenerationRequest
from workers.engines.vllm.phases import EXTENSION
from workers.engines.vllm.settings import VllmSettings
from workers.engines.vllm.tools import Calling

GIB = 1024**3


@dataclass(frozen=True)
class VllmModel:
    """A folder or name of a model, and LoRA adapters of it by name.

    `max_requests` is how many run at once at most; `context_tokens` None: what the model has.
    """

    model: str
    name: str = ""
    adapters: dict[str, str] = field(default_factory=dict)
    chat_template: Path | None = None
    context_tokens: int | None = None
    max_requests: int = 128


def prepare_environment(settings: VllmSettings) -> None:
    """What vLLM reads from the environment only, when it is imported."""
    # Forked, the engine would hold our connection to NATS open after this process is gone.
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    if settings.cache_folder is not None:
        os.environ["VLLM_CACHE_ROOT"] = str(settings.cache_folder)
    if settings.executor == "uni":
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"


def engine_args(model: VllmModel, settings: VllmSettings) -> Any:
    """`AsyncEngineArgs` of vLLM. Raises: Misconfigured: vLLM is not installed."""
    prepare_environment(settings)
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs
    except ImportError as error:
        raise Misconfigured(
            f"vLLM is not installed in this environment: {error}.",
            remedy="Run the worker in an environment with vLLM (`make vllm` makes one for CPUs), "
            "or set AF_ENGINE_KIND=openai for a server.",
        ) from error
    return AsyncEngineArgs(**_arguments(model, settings))


def _arguments(model: VllmModel, settings: VllmSettings) -> dict[str, object]:
    given: dict[str, object] = {
        "model": model.model,
        "max_model_len": model.context_tokens,
        "max_num_seqs": model.max_requests,
        "dtype": settings.dtype,
        "quantization": settings.quantization or None,
        "kv_cache_dtype": settings.kv_cache_dtype,
        "load_format": settings.load_format,
        "tensor_parallel_size": settings.tensor_parallel,
        "pipeline_parallel_size": settings.pipeline_parallel,
        "distributed_executor_backend": settings.executor or None,
        "gpu_memory_utilization": settings.memory_share,
        "kv_cache_memory_bytes": int(settings.kv_cache_gib * GIB) if settings.kv_cache_gib else None,
        "block_size": settings.block_tokens,
        "max_num_batched_tokens": settings.batched_tokens,
        "enable_prefix_caching": settings.prefix_caching,
        "enforce_eager": settings.enforce_eager,
        "speculative_config": settings.speculative_config(),
        "trust_remote_code": settings.trust_remote_code,
        "worker_extension_cls": EXTENSION,
        "disable_log_stats": True,
    }
    if model.adapters:
        given |= {
            "enable_lora": True,
            "max_loras": len(model.adapters) + _empty_slots(),
            "max_lora_rank": settings.adapter_rank,
        }
    return {name: value for name, value in given.items() if value is not None}


def _empty_slots() -> int:
    """In a batch with adapters vLLM's CPU kernels give those without one the last slot: it stays empty."""
    from vllm.platforms import current_platform

    return 1 if current_platform.is_cpu() else 0


def sampling_params(request: GenerationRequest, max_tokens: int, calling: Calling | None = None) -> Any:
    """`SamplingParams` of vLLM, whose outputs hold what came since the one before."""
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    return SamplingParams(
        temperature=request.temperature,
        max_tokens=max_tokens,
        stop=list(request.stop),
        structured_outputs=_constraint(request) if calling is None else calling.constraint,
        skip_special_tokens=calling is None or not calling.special_tokens,
        output_kind=RequestOutputKind.DELTA,
        skip_clone=True,
    )


def _constraint(request: GenerationRequest) -> Any:
    from vllm.sampling_params import StructuredOutputsParams

    if request.grammar is not None:
        return StructuredOutputsParams(grammar=request.grammar)
    if request.json_schema is not None:
        return StructuredOutputsParams(json=request.json_schema)
    return None
