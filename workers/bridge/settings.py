"""Settings of the bridge."""

from pydantic import Field

from workers.shell.settings import WorkerSettings
from workers.shell.tenants import Limits


class BridgeSettings(WorkerSettings):
    """Variables are prefixed with `AF_`."""

    default_deadline_s: float = Field(default=120.0, gt=0, description="deadline of a query that states none")
    longest_deadline_s: float = Field(default=900.0, gt=0, description="the latest deadline a client may ask")
    keep_alive_s: float = Field(
        default=15.0, gt=0, description="so often a comment is sent on a silent stream"
    )
    slow_reader_s: float = Field(
        default=20.0, gt=0, description="a client that takes nothing for so long is disconnected"
    )
    linger_s: float = Field(default=30.0, ge=0, description="an ended answer stays in memory for resumes")
    abandon_s: float = Field(
        default=60.0, ge=0, description="an answer that nobody has read for so long is cancelled"
    )
    heal_idle_s: float = Field(
        default=10.0, gt=0, description="the log of an answer that was silent for so long is read"
    )
    models: str = Field(default="default", description="models to offer, comma-separated")
    sample_questions: str = Field(
        default="", description="what the page offers to begin with, separated by `|`"
    )
    key_requests_per_s: float = Field(
        default=0.0, ge=0, description="questions a second for a key that has no limit of its own; 0: any"
    )
    key_burst: int = Field(
        default=0, ge=0, description="questions at once within that rate; 0: those of two seconds"
    )
    key_concurrent: int = Field(
        default=0, ge=0, description="answers under way for a key that has no limit of its own; 0: any"
    )
    trace_link: str = Field(
        default="", description="address of a trace for people, with `{trace_id}` in it; told to who asks"
    )
    bridge_replicas: int = Field(
        default=1, ge=1, description="bridges that share the load: each allows its part of the limits"
    )

    @property
    def key_limits(self) -> Limits:
        return Limits(
            requests_per_s=self.key_requests_per_s, burst=self.key_burst, concurrent=self.key_concurrent
        )
