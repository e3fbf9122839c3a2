"""Settings of vLLM inside the worker; those that it shares with other engines are in `settings`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class VllmSettings(BaseSettings):
    """Variables are prefixed with `AF_ENGINE_VLLM_`. What is not set is vLLM's own choice."""

    model_config = SettingsConfigDict(
        env_prefix="AF_ENGINE_VLLM_", frozen=True, extra="ignore", protected_namespaces=()
    )

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="type of the weights; on CPUs without AMX or AVX512-BF16 float32"
    )
    quantization: str = Field(
        default="", description="of the weights, as fp8, awq or gptq; empty: what the model's config says"
    )
    kv_cache_dtype: str = Field(default="auto", description="type of the KV cache, as fp8")
    load_format: str = Field(
        default="auto",
        description="how weights are read: auto, safetensors, runai_streamer, tensorizer",
    )
    tensor_parallel: int = Field(default=1, ge=1, description="GPUs that share each layer; within a node")
    pipeline_parallel: int = Field(default=1, ge=1, description="groups of layers; across nodes")
    executor: Literal["", "mp", "ray", "uni"] = Field(
        default="",
        description="where its processes run: mp (this node), ray (a Ray cluster), uni (one process)",
    )
    memory_share: float | None = Field(
        default=None, gt=0, le=1, description="of each device's memory, for weights and KV cache"
    )
    kv_cache_gib: float | None = Field(
        default=None, gt=0, description="size of the KV cache, in place of what memory_share leaves for it"
    )
    block_tokens: int | None = Field(
        default=None,
        ge=1,
        description="tokens of a block of the KV cache: only whole blocks of a prompt are found again; "
        "vLLM's own choice is 16 on GPUs and 128 on CPUs",
    )
    batched_tokens: int | None = Field(
        default=None, ge=16, description="tokens of prompts and answers in one step at most"
    )
    prefix_caching: bool = Field(
        default=True, description="keep the KV cache of prompts for those that follow"
    )
    enforce_eager: bool = Field(
        default=False, description="neither compile nor capture graphs: a quick start, slower tokens"
    )
    cache_folder: Path | None = Field(
        default=None,
        description="where compiled code is kept; on a volume that pods share, only the first compiles",
    )
    speculation: Literal["", "ngram", "draft_model", "eagle", "eagle3", "mtp"] = Field(
        default="", description="how tokens are guessed ahead; empty: not; ngram: from prompt and answer"
    )
    speculative_tokens: int = Field(default=4, ge=1, description="tokens guessed ahead")
    speculative_model: str = Field(default="", description="folder of the guessing model, but for ngram")
    adapter_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = Field(
        default=16, description="highest rank of the LoRA adapters"
    )
    tool_parser: str = Field(
        default="",
        description="vLLM's parser for the tool calls of the model's family, as hermes or llama3_json; "
        "empty: tools only for requests that must call one",
    )
    trust_remote_code: bool = Field(default=False, description="run Python code that comes with the model")

    @model_validator(mode="after")
    def _names_a_guesser(self) -> "VllmSettings":
        if self.speculation not in ("", "ngram", "mtp") and not self.speculative_model:
            raise ValueError(f"speculation {self.speculation!r} needs AF_ENGINE_VLLM_SPECULATIVE_MODEL")
        return self

    def speculative_config(self) -> dict[str, str | int] | None:
        """As `vllm serve --speculative-config` takes it."""
        if not self.speculation:
            return None
        config: dict[str, str | int] = {
            "method": self.speculation,
            "num_speculative_tokens": self.speculative_tokens,
        }
        if self.speculative_model:
            config["model"] = self.speculative_model
        if self.speculation == "ngram":
            config |= {"prompt_lookup_max": 4, "prompt_lookup_min": 2}
        return config
