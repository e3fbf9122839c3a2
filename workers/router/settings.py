"""Settings of the router."""

from pathlib import Path

from pydantic import Field, SecretStr

from workers.shell.settings import WorkerSettings


class RouterSettings(WorkerSettings):
    """Variables are prefixed with `AF_`: `AF_ROUTER_THRESHOLD`, `AF_CATALOGUE_REFRESH_S`, ..."""

    router_threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="probability below which a question goes both ways; unset: as trained",
    )
    rewrite_url: str = Field(
        default="",
        description="base of an OpenAI-compatible server that rewrites follow-ups of which the rules are not "
        "sure; empty: the rules alone",
    )
    rewrite_model: str = Field(default="", description="model asked of that server; empty: its first")
    rewrite_api_key: SecretStr | None = Field(default=None, description="bearer token of that server")
    rewrite_timeout_s: float = Field(
        default=0.8, gt=0, le=10, description="how long a rewriting may take before the rules' own is used"
    )
    fair_backlog: int = Field(
        default=64,
        ge=0,
        description="a tenant with more messages than this in the queues waits behind the others; 0: never",
    )
    catalogue_refresh_s: float = Field(
        default=300.0, gt=0, description="how often the router reads the schema and the documents again"
    )
    catalogue_passages: int = Field(
        default=2_000, ge=1, le=5_000, description="passages of a tenant that the router looks at"
    )
    dsn: SecretStr = Field(
        default=SecretStr("postgresql://127.0.0.1:5432/postgres"),
        description="PostgreSQL whose schema the router knows, as a role that can only read",
    )
    semantic_model: Path | None = Field(
        default=None, description="YAML that a person edited; what it leaves out is read from the database"
    )
