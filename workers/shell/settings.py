"""Settings that all workers share; each worker adds its own in `workers/<name>/settings.py`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from bus.settings import BusSettings


class WorkerSettings(BusSettings):
    """Variables are prefixed with `AF_`; docs/configuration.md lists them."""

    concurrency: int = Field(default=16, ge=1, description="messages worked on at once")
    bulk_share: float = Field(
        default=0.0625, gt=0, le=1, description="of the slots, what a flooding tenant's work may take at most"
    )
    http_host: str = Field(default="127.0.0.1", description="address of /healthz and /readyz")
    http_port: int = Field(
        default=0, ge=0, le=65535, description="port of /healthz and /readyz; 0: a free one"
    )
    neighbours: str = Field(
        default="",
        pattern=r"^$|^[a-z][-a-z0-9]*:[1-9](,[a-z][-a-z0-9]*:[1-9])*$",
        description="clusters that this worker helps when it has slots free: `<cluster>:<place>`, "
        "comma-separated; the place is ours among the helpers of that cluster",
    )
    neighbour_keys: Path | None = Field(
        default=None, description="folder with a seed for each of the neighbours, `<cluster>.nk`"
    )
    neighbour_share: float = Field(
        default=0.5, gt=0, le=1, description="of the slots, what neighbours' work may take at most"
    )
    drain_grace_s: float = Field(default=20.0, ge=0, description="after SIGTERM, time for work in hand")
    tenants_file: Path | None = Field(default=None, description="YAML of tenants, keys (SHA-256), databases")
    trace_endpoint: str = Field(
        default="", description="OTLP/HTTP collector, as `http://127.0.0.1:6006`; empty: no traces"
    )
    trace_content: Literal["full", "masked", "off"] = Field(
        default="full",
        description="of questions, evidence, prompts and answers in traces: full, masked (secrets, addresses "
        "and numbers of people) or off",
    )
    trace_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="share of questions that are traced where the caller decides nothing",
    )
    trace_project: str = Field(default="askfleet", description="under which name Phoenix keeps the traces")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: str = Field(default="json", pattern="^(json|console)$", description="json or console")
