"""Which vector store a process opens."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class VectorSettings(BaseSettings):
    """Variables are prefixed with `AF_MILVUS_`: `AF_MILVUS_URI`, ..."""

    model_config = SettingsConfigDict(env_prefix="AF_MILVUS_", frozen=True, extra="ignore")

    uri: str = Field(default="http://127.0.0.1:19530", description="a Milvus cluster or a Milvus Lite server")
    token: SecretStr | None = Field(default=None, description="user:password or API key of Milvus")
    collection: str = Field(
        default="passages", pattern="^[A-Za-z_][A-Za-z0-9_]{0,127}$", description="the one of all tenants"
    )
    partitions: int = Field(
        default=16, ge=1, le=1024, description="tenants are hashed to so many partitions; fixed at creation"
    )
    timeout_s: float = Field(default=10.0, gt=0, description="longest wait for one call")
    depth: int = Field(
        default=10, ge=1, description="candidates by meaning and by words that are fused; at least top_k"
    )
    lanes: int = Field(default=4, ge=1, description="searches in flight; those of one tenant are batched")
    batch_size: int = Field(default=32, ge=1, description="questions in one search request at most")
