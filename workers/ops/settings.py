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

    scaling_targets: str = Field(
        default="",
        pattern=r"^$|^[a-zA-Z0-9_-]+=\d+(,[a-zA-Z0-9_-]+=\d+)*$",
        description="the lag for each replica that KEDA aims at, as router=32,sql=16: shown beside the lag",
    )

    @property
    def targets(self) -> dict[str, float]:
        """By ScaledObject."""
        pairs = (pair.partition("=") for pair in filter(None, self.scaling_targets.split(",")))
        return {name: float(target) for name, _, target in pairs}

    @property
    def key_digests(self) -> frozenset[str]:
        return frozenset(filter(None, self.ops_key_sha256.split(",")))
