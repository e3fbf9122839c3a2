"""Settings of the operator's page."""

from pydantic import Field

from workers.shell.settings import WorkerSettings


class OpsSettings(WorkerSettings):
    """Variables are prefixed with `AF_`."""

    ops_key_sha256: str = Field(
        default="",
        pattern=r"^$|^[0-9a-f]{64}(,[0-9a-f]{64})*$",
        description="SHA-256 of the operators' keys, hex, comma-separated; none: nobody gets in",
    )
    queues_read_s: float = Field(
        default=5.0, gt=0, description="how often the queues are read for /metrics and /prometheus/targets"
    )
    trace_link: str = Field(
        default="", description="where a trace is shown, with `{trace_id}` in it; empty: no links"
    )

    @property
    def key_digests(self) -> frozenset[str]:
        return frozenset(filter(None, self.ops_key_sha256.split(",")))
