"""Writes what follows from the code, pages and manifests: `python -m askfleet.reference`. Tests compare."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from askfleet.bulk import RaySettings
from bus import chart
from bus.server import load_keys, production, roles_table
from bus.settings import BusSettings
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
from workers.shell.settings import WorkerSettings
from workers.sql.settings import SqlSettings
from workers.vectors import VectorSettings

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "configuration.md"
SECURITY_PAGE = ROOT / "docs" / "security.md"
ROLES_BEGIN, ROLES_END = "<!-- roles -->\n", "<!-- /roles -->"
EXAMPLE_KEYS = ROOT / "deploy" / "nats" / "public.yaml"
SERVER_CONFIGURATION = ROOT / "deploy" / "nats" / "nats-server.conf"
PLATFORM = ROOT / "deploy" / "keda" / "platform"
NATS_CHART = PLATFORM / "nats" / "values.yaml"
ALERTS = ROOT / "deploy" / "observability" / "rules.yml"
PROMETHEUS_RULE = PLATFORM / "monitoring" / "rules.yaml"
HEAD = """# Configuration

Every process reads its settings from environment variables once, at its start, and refuses to start when a
value is wrong. `askfleet up` hands its own environment on to the workers and sets the addresses of the
servers that it started. `python -m askfleet.reference` writes this page from the settings themselves.
"""
TAIL = """
## Command line

`AF_STATE_DIR`, `AF_URL`, `AF_API_KEY` and `AF_TENANT` stand for the options `--state-dir`, `--url`, `--key`
and `--tenant`.
"""


class Section(NamedTuple):
    """A heading and the settings below it; those of `beside` stand in an earlier section."""

    title: str
    settings: type[BaseSettings]
    beside: type[BaseSettings] | None = None


SECTIONS = (
    Section("Every process on NATS", BusSettings),
    Section("All workers", WorkerSettings, BusSettings),
    Section("Bridge", BridgeSettings, WorkerSettings),
    Section("Operator's page", OpsSettings, WorkerSettings),
    Section("Deletion costs of pods", CostSettings, WorkerSettings),
    Section("Router", RouterSettings, WorkerSettings),
    Section("Retrieval", RetrievalSettings, WorkerSettings),
    Section("Ingest", IngestSettings, WorkerSettings),
    Section("SQL", SqlSettings, WorkerSettings),
    Section("Generation", GenerationSettings, WorkerSettings),
    Section("Engine of the generation workers", EngineSettings),
    Section("vLLM inside the generation worker", VllmSettings),
    Section("Embedder of retrieval and ingest", EmbedderSettings),
    Section("Vector store of retrieval, ingest and router", VectorSettings),
    Section("Bulk ingestion on Ray", RaySettings),
)


class Variable(NamedTuple):
    name: str
    default: str
    meaning: str


def variables(section: Section) -> Iterator[Variable]:
    """The section's own settings, and those whose default it changes."""
    prefix = str(section.settings.model_config.get("env_prefix", ""))
    known = section.beside.model_fields if section.beside else {}
    for name, field in section.settings.model_fields.items():
        before = known.get(name)
        if _is_group(field) or (before is not None and before.default == field.default):
            continue
        yield Variable(f"{prefix}{name}".upper(), _default(field), field.description or "")


def page() -> str:
    parts = [HEAD]
    for section in SECTIONS:
        rows = [f"| `{v.name}` | {v.default} | {v.meaning} |" for v in variables(section)]
        parts.append(
            "\n".join([f"\n## {section.title}\n", "| variable | default | meaning |", "|---|---|---|", *rows])
        )
        parts.append("\n")
    return "".join([*parts, TAIL])


def _is_group(field: FieldInfo) -> bool:
    """Settings inside settings have a section of their own."""
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseSettings)


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value == "":
        return ""
    return (
        f"{value:g}" if isinstance(value, float) else f"`{value}`" if isinstance(value, str) else str(value)
    )


def security_page() -> str:
    """The page with its table of roles written anew."""
    before, _, rest = SECURITY_PAGE.read_text().partition(ROLES_BEGIN)
    _, _, after = rest.partition(ROLES_END)
    return f"{before}{ROLES_BEGIN}{roles_table()}{ROLES_END}{after}"


def server_configuration() -> str:
    return production(load_keys(EXAMPLE_KEYS))


def nats_chart() -> str:
    return chart.page(load_keys(EXAMPLE_KEYS))


def prometheus_rule() -> str:
    """The alerts as the Prometheus operator reads them."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "askfleet", "namespace": "monitoring"},
        "spec": {"groups": yaml.safe_load(ALERTS.read_text())["groups"]},
    }
    head = "# Written by `python -m askfleet.reference` from deploy/observability/rules.yml. Do not edit.\n"
    return head + yaml.safe_dump(rule, sort_keys=False, width=110)


if __name__ == "__main__":
    PAGE.write_text(page())
    SECURITY_PAGE.write_text(security_page())
    SERVER_CONFIGURATION.write_text(server_configuration())
    NATS_CHART.write_text(nats_chart())
    PROMETHEUS_RULE.write_text(prometheus_rule())
    written = (PAGE, SECURITY_PAGE, SERVER_CONFIGURATION, NATS_CHART, PROMETHEUS_RULE)
    print(" ".join(str(path.relative_to(ROOT)) for path in written))
