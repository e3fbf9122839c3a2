"""The servers beside askfleet: what is generated is current, and both sides agree on doors and names."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from askfleet.reference import ALERTS, NATS_CHART, PLATFORM, PROMETHEUS_RULE, nats_chart, prometheus_rule
from bus.chart import GIB
from bus.testing import nats_server_binary
from bus.topology import STREAMS
from tests.manifests.conftest import Render
from tests.manifests.strict import Schemas, named, read
from tests.manifests.workloads import BASE

FOLDERS = tuple(sorted(path.parent for path in PLATFORM.glob("*/kustomization.yaml")))
WITHOUT_SCHEMA = {"Cluster", "PodMonitor", "PrometheusRule"}
"""Kinds whose CRD is not beside the checkout."""
WORKERS, KEDA, PEOPLE = "askfleet", "keda", "monitoring"
NAMESPACE = "kubernetes.io/metadata.name"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_object_beside_askfleet_is_valid(rendered: Render, schemas: Schemas, folder: Path) -> None:
    checked = [manifest for manifest in rendered(folder) if manifest["kind"] not in WITHOUT_SCHEMA]
    assert [problem for manifest in checked for problem in schemas.problems(manifest)] == []


def test_the_values_of_nats_and_the_alerts_are_current() -> None:
    """Refresh with `python -m askfleet.reference`."""
    assert NATS_CHART.read_text() == nats_chart()
    assert PROMETHEUS_RULE.read_text() == prometheus_rule()
    (rule,) = read(PROMETHEUS_RULE)
    assert rule["spec"] == yaml.safe_load(ALERTS.read_text())


def test_a_nats_server_takes_what_the_values_add_to_its_configuration(tmp_path: Path) -> None:
    values = yaml.safe_load(NATS_CHART.read_text())["config"]
    configuration = {
        **values["merge"],
        "http_port": values["monitor"]["port"],
        "jetstream": {"store_dir": str(tmp_path), **values["jetstream"]["merge"]},
    }
    path = tmp_path / "nats.conf"
    path.write_text(json.dumps(configuration))
    done = subprocess.run([nats_server_binary(), "-t", "-c", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_server_of_nats_has_room_for_a_copy_of_every_stream() -> None:
    values = yaml.safe_load(NATS_CHART.read_text())["config"]
    size = values["jetstream"]["fileStore"]["pvc"]["size"]
    assert int(size.removesuffix("Gi")) * GIB > sum(stream.max_bytes for stream in STREAMS)
    assert values["cluster"]["replicas"] == 3


def test_keda_finds_the_leader_of_a_consumer_by_the_name_of_a_server(rendered: Render) -> None:
    """It asks `<server name>.<headless service>:<port>`; a prefix of the name leads it nowhere."""
    values = yaml.safe_load(NATS_CHART.read_text())["config"]
    assert values["serverNamePrefix"] == ""
    for scaled in named(rendered(BASE), "ScaledObject").values():
        for trigger in scaled["spec"]["triggers"]:
            host, _, port = trigger["metadata"]["natsServerMonitoringEndpoint"].partition(":")
            assert host.split(".")[:2] == ["nats-headless", "nats"]
            assert int(port) == values["monitor"]["port"]


def _doors(rendered: Render, folder: str) -> set[tuple[str, int]]:
    """Who comes in from other namespaces, and where."""
    found: set[tuple[str, int]] = set()
    for policy in named(rendered(PLATFORM / folder), "NetworkPolicy").values():
        for rule in policy["spec"].get("ingress", ()):
            for peer in rule["from"]:
                if "namespaceSelector" in peer:
                    place = peer["namespaceSelector"]["matchLabels"][NAMESPACE]
                    found |= {(place, port["port"]) for port in rule["ports"]}
    return found


@pytest.mark.parametrize(
    ("folder", "doors"),
    [
        ("nats", {(WORKERS, 4222), (KEDA, 8222), (PEOPLE, 7777)}),
        ("postgres", {(WORKERS, 5432), ("cnpg-system", 8000), (PEOPLE, 9187)}),
        ("milvus", {(WORKERS, 19530), (PEOPLE, 9091)}),
        ("phoenix", {(WORKERS, 6006)}),
    ],
)
def test_a_server_admits_the_workers_and_whoever_looks_after_it(
    rendered: Render, folder: str, doors: set[tuple[str, int]]
) -> None:
    assert _doors(rendered, folder) == doors
    policies = named(rendered(PLATFORM / folder), "NetworkPolicy")
    assert policies["deny-all"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_what_the_workers_may_reach_admits_them(rendered: Render) -> None:
    for policy in named(rendered(BASE), "NetworkPolicy").values():
        for rule in policy["spec"].get("egress", ()):
            for peer in rule.get("to", ()):
                place = peer["namespaceSelector"]["matchLabels"][NAMESPACE]
                if place != "kube-system":
                    assert {(WORKERS, port["port"]) for port in rule["ports"]} <= _doors(rendered, place)
