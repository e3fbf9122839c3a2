"""How much of a cluster bulk ingestion takes."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class RaySettings(BaseSettings):
    """Variables are prefixed with `AF_RAY_`: `AF_RAY_ADDRESS`, `AF_RAY_CPUS`, ..."""

    model_config = SettingsConfigDict(env_prefix="AF_RAY_", frozen=True, extra="ignore")

    address: str = Field(
        default="",
        description="`auto`: the cluster that this machine belongs to; empty: a new one, of this machine",
    )
    cpus: int = Field(default=2, ge=1, description="CPUs of the one on this machine")
    object_store_mb: int = Field(
        default=256, ge=80, description="its shared memory; what does not fit goes to disk"
    )
    embedders: int = Field(
        default=0, ge=0, description="processes that read, chunk and embed, one CPU each; 0: one a CPU"
    )
    writers: int = Field(
        default=1, ge=1, description="processes that write to Milvus; Milvus Lite bears only one"
    )
    batch_documents: int = Field(
        default=16, ge=1, description="documents of one look-up in Milvus and of one round of embedding"
    )
    patience_s: float = Field(
        default=60.0, gt=0, description="Milvus or the embedder may be away for so long before the run ends"
    )
