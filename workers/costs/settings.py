"""Settings of the process that marks busy pods."""

from pathlib import Path

from pydantic import Field

from workers.shell.settings import WorkerSettings

MOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class CostSettings(WorkerSettings):
    """Variables are prefixed with `AF_`: `AF_COSTS_EVERY_S`, `AF_KUBERNETES_URL`, ..."""

    costs_every_s: float = Field(default=10.0, gt=0, description="how often the workers are asked")
    kubernetes_url: str = Field(
        default="https://kubernetes.default.svc", description="API server whose pods are marked"
    )
    kubernetes_token_file: Path = Field(
        default=MOUNT / "token", description="token of a service account that may patch pods"
    )
    kubernetes_ca_file: Path = Field(default=MOUNT / "ca.crt", description="who signed the API server")
    kubernetes_namespace: str = Field(default="askfleet", description="namespace of the workers' pods")
    kubernetes_timeout_s: float = Field(default=5.0, gt=0, description="longest wait for the API server")
