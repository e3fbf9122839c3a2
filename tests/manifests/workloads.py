"""What the manifests under deploy/keda say, in the words of the code: workers, settings, roles, numbers."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from bus.settings import BusSettings
from tests.manifests.strict import Manifest, named
from workers.bridge.settings import BridgeSettings
from workers.costs.settings import CostSettings
from workers.embedding import EmbedderSettings
from workers.engines import EngineSettings
from workers.engines.vllm.settings import VllmSettings
from workers.generation.settings import GenerationSettings
from workers.ingest.settings import IngestSettings
from workers.ops.settings import OpsSettings
from workers.retrieval.settings import RetrievalSettings
from workers.router.settings import RouterSettings
from workers.sql.settings import SqlSettings
from workers.vectors import VectorSettings

KEDA = Path(__file__).parents[2] / "deploy" / "keda"
BASE = KEDA / "base"
OVERLAYS = tuple(sorted(path.parent for path in (KEDA / "overlays").glob("*/kustomization.yaml")))
WARM = tuple(sorted(path.parent for path in (KEDA / "warm").glob("*/kustomization.yaml")))

SETTINGS: dict[str, tuple[type[BaseSettings], ...]] = {
    "router": (RouterSettings, VectorSettings, EmbedderSettings),
    "retrieval": (RetrievalSettings, VectorSettings, EmbedderSettings),
    "sql": (SqlSettings, EngineSettings),
    "generation": (GenerationSettings, EngineSettings, VllmSettings),
    "ingest": (IngestSettings, VectorSettings, EmbedderSettings),
    "bridge": (BridgeSettings,),
    "ops": (OpsSettings,),
    "costs": (CostSettings,),
    "provision": (BusSettings,),
}
"""What each kind of process reads from its environment."""

SECRET = "secret:"
ROLES = {kind: "monitor" if kind == "costs" else kind for kind in SETTINGS}


def fields(settings: type[BaseSettings]) -> dict[str, FieldInfo]:
    """By the name of its variable; settings within settings are listed by themselves."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    return {
        f"{prefix}{name}".upper(): field
        for name, field in settings.model_fields.items()
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseSettings))
    }


def variables(kind: str) -> dict[str, FieldInfo]:
    return {name: field for settings in SETTINGS[kind] for name, field in fields(settings).items()}


def quantity(text: str | int) -> float:
    """As Kubernetes writes amounts: `500m` is half of one, `1Gi` is 2^30."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m|[KMGT]i)?", str(text))
    assert found is not None, f"{text} is no quantity"
    unit = {"m": 1e-3, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
    return float(found[1]) * unit.get(found[2], 1.0)


def is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation) or isinstance(field.default, SecretStr)


@dataclass(frozen=True)
class Workload:
    """A Deployment or Job with what it refers to."""

    name: str
    manifest: Manifest
    config_maps: dict[str, Manifest]

    @property
    def kind(self) -> str:
        """Which worker it runs: `generation` for `generation-default`."""
        return self.name.partition("-")[0]

    @property
    def pod(self) -> dict[str, Any]:
        found: dict[str, Any] = self.manifest["spec"]["template"]["spec"]
        return found

    @property
    def labels(self) -> dict[str, str]:
        found: dict[str, str] = self.manifest["spec"]["template"]["metadata"]["labels"]
        return found

    @property
    def worker(self) -> dict[str, Any]:
        found: dict[str, Any]
        (found,) = self.pod["containers"]
        return found

    @property
    def containers(self) -> list[dict[str, Any]]:
        return [*self.pod.get("initContainers", ()), *self.pod["containers"]]

    @property
    def environment(self) -> dict[str, str]:
        """All variables; what comes from a Secret reads `secret:<name>/<key>`."""
        result: dict[str, str] = {}
        for source in self.worker.get("envFrom", ()):
            result |= self.config_maps[source["configMapRef"]["name"]]["data"]
        for entry in self.worker.get("env", ()):
            result[entry["name"]] = _value(entry)
        return result

    @property
    def slots(self) -> int:
        """Messages worked on at once."""
        by_engine = self.kind == "generation"
        return int(self.environment["AF_ENGINE_SLOTS" if by_engine else "AF_CONCURRENCY"])


def _value(entry: dict[str, Any]) -> str:
    if "value" in entry:
        return str(entry["value"])
    match entry["valueFrom"]:
        case {"secretKeyRef": {"name": name, "key": key}}:
            return f"{SECRET}{name}/{key}"
        case {"fieldRef": {"fieldPath": path}}:
            return f"field:{path}"
    raise AssertionError(f"{entry} is neither a value nor a reference that is known here")


def workloads(manifests: list[Manifest]) -> dict[str, Workload]:
    """Deployments and Jobs that run our code."""
    config_maps = named(manifests, "ConfigMap")
    found = named(manifests, "Deployment") | named(manifests, "Job")
    return {
        name: Workload(name, manifest, config_maps)
        for name, manifest in found.items()
        if name.partition("-")[0] in SETTINGS
    }


def settings_of(workload: Workload) -> list[BaseSettings]:
    """As the process would read them; raises ValidationError for a value that it refuses."""
    result = []
    for settings in SETTINGS[workload.kind]:
        prefix = str(settings.model_config.get("env_prefix", "")).upper()
        known = fields(settings)
        given: dict[str, Any] = {
            name.removeprefix(prefix).lower(): value
            for name, value in workload.environment.items()
            if name in known and not value.startswith(SECRET)
        }
        result.append(settings(**given))
    return result
