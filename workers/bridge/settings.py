"""Settings of the bridge."""

from pydantic import Field

from workers.shell.settings import WorkerSettings


class BridgeSettings(WorkerSettings):
    """Variables are prefixed with `AF_`."""

    default_deadline_s: float = Field(default=120.0, gt=0, description="deadline of a query that states none")
    longest_deadline_s: float = Field(default=900.0, gt=0, description="the latest deadline a client may ask")
    keep_alive_s: float = Field(
        default=15.0, gt=0, description="so often a comment is sent on a silent stream"
    )
    linger_s: float = Field(default=30.0, ge=0, description="an ended answer stays in memory for resumes")
    abandon_s: float = Field(
        default=60.0, ge=0, description="an answer that nobody has read for so long is cancelled"
    )
    heal_idle_s: float = Field(
        default=10.0, gt=0, description="the log of an answer that was silent for so long is read"
    )
    models: str = Field(default="default", description="models to offer, comma-separated")
