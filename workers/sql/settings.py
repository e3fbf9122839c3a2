"""Settings of the SQL worker."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from workers.shell.settings import WorkerSettings


class SqlSettings(WorkerSettings):
    """Variables are prefixed with `AF_`: `AF_DSN`, `AF_STATEMENT_TIMEOUT_S`, ..."""

    dsn: SecretStr = Field(
        default=SecretStr("postgresql://127.0.0.1:5432/postgres"),
        description="PostgreSQL to ask, as a role that can only read",
    )
    statement_timeout_s: float = Field(default=5.0, gt=0, description="longest time one statement may run")
    row_limit: int = Field(default=200, ge=1, le=10_000, description="most rows that an answer carries")
    pool_size: int = Field(default=8, ge=1, le=200, description="connections to the database")
    semantic_model: Path | None = Field(
        default=None, description="YAML that a person edited; what it leaves out is read from the database"
    )
    refresh_s: float = Field(default=300.0, gt=0, description="how often the schema is read again")
    sql_engine: Literal["none", "openai", "llamacpp"] = Field(
        default="none",
        description="language model that writes SQL where the planner is not sure; llamacpp: in the worker's "
        "own process",
    )
    sql_engine_url: str = Field(
        default="",
        description="its OpenAI-compatible server, with /v1; without one, that of the generation workers",
    )
    sql_engine_api_key: SecretStr | None = Field(
        default=None, description="key of that server; default: AF_ENGINE_API_KEY, if the server is shared"
    )
    sql_engine_model: str = Field(
        default="", description="model name at that server; default: AF_ENGINE_MODEL, if the server is shared"
    )
    sql_engine_timeout_s: float = Field(
        default=20.0, gt=0, description="longest time one completion may take"
    )
    sql_engine_candidates: int = Field(
        default=3, ge=1, le=9, description="statements that it may write for one question; they vote"
    )
