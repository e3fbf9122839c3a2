"""What a sweep names reaches vLLM: its own class of arguments takes it, under the name that it has there."""

from pathlib import Path

import pytest

from askfleet.tuning.sweep import points_of
from workers.engines import EngineSettings
from workers.engines.vllm.options import VllmModel, engine_args

FOLDER = str(Path(__file__).parent)
"""Any that is there: offline, vLLM refuses the name of a model that it has not."""


def swept(*assigned: str) -> EngineSettings:
    return points_of([], ["kind=vllm", *assigned])[0].settings().engine


def arguments_of(engine: EngineSettings) -> object:
    model = VllmModel(FOLDER, context_tokens=engine.context_tokens, max_requests=engine.slot_count())
    return engine_args(model, engine.vllm)


@pytest.mark.parametrize(
    ("assigned", "argument", "value"),
    [
        ("context_tokens=4096", "max_model_len", 4096),
        ("slots=12", "max_num_seqs", 12),
        ("vllm_tensor_parallel=2", "tensor_parallel_size", 2),
        ("vllm_pipeline_parallel=3", "pipeline_parallel_size", 3),
        ("vllm_memory_share=0.7", "gpu_memory_utilization", 0.7),
        ("vllm_kv_cache_gib=0.5", "kv_cache_memory_bytes", 1 << 29),
        ("vllm_quantization=fp8", "quantization", "fp8"),
        ("vllm_kv_cache_dtype=fp8", "kv_cache_dtype", "fp8"),
        ("vllm_dtype=float32", "dtype", "float32"),
        ("vllm_batched_tokens=1024", "max_num_batched_tokens", 1024),
        ("vllm_block_tokens=32", "block_size", 32),
        ("vllm_prefix_caching=false", "enable_prefix_caching", False),
        ("vllm_enforce_eager=true", "enforce_eager", True),
        ("vllm_executor=ray", "distributed_executor_backend", "ray"),
    ],
)
def test_a_setting_of_a_sweep_is_an_argument_of_vllm(assigned: str, argument: str, value: object) -> None:
    plain = getattr(arguments_of(swept()), argument)
    assert plain != value
    assert getattr(arguments_of(swept(assigned)), argument) == value


def test_tokens_are_guessed_ahead_as_the_sweep_says() -> None:
    engine = swept("vllm_speculation=ngram", "vllm_speculative_tokens=3")
    args = engine_args(VllmModel(FOLDER), engine.vllm)
    assert args.speculative_config == {
        "method": "ngram",
        "num_speculative_tokens": 3,
        "prompt_lookup_max": 4,
        "prompt_lookup_min": 2,
    }
    drafted = swept("vllm_speculation=draft_model", "vllm_speculative_model=models/small")
    config = engine_args(VllmModel(FOLDER), drafted.vllm).speculative_config
    assert (config["method"], config["model"]) == ("draft_model", "models/small")
