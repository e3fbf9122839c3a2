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
from tests.manifests.network import ANYWHERE, OWN, Door, doors
from tests.manifests.strict import Manifest, Schemas, named, read
from tests.manifests.workloads import BASE, workloads

FOLDERS = tuple(sorted(path.parent for path in PLATFORM.glob("*/kustomization.yaml")))
WITHOUT_SCHEMA = {"Cluster", "PodMonitor", "PrometheusRule"}
"""Kinds whose CRD is not beside the checkout."""
WORKERS, KEDA, PEOPLE = "askfleet", "keda", "monitoring"


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


def _policies(rendered: Render, folder: str) -> list[Manifest]:
    return list(named(rendered(PLATFORM / folder), "NetworkPolicy").values())


ADMITTED = {
    "nats": {Door(WORKERS, 4222), Door(KEDA, 8222), Door(PEOPLE, 7777), Door(OWN, 0)},
    "postgres": {Door(WORKERS, 5432), Door("cnpg-system", 8000), Door(PEOPLE, 9187), Door(OWN, 0)},
    "milvus": {Door(WORKERS, 19530), Door(PEOPLE, 9091), Door(OWN, 0)},
    "phoenix": {Door(WORKERS, 6006)},
}
NAMES = {Door("kube-system", 53, "UDP"), Door("kube-system", 53)}
REACHED = {
    "nats": {*NAMES, Door(OWN, 0)},
    # The API server, which is no pod: through it instances learn who leads.
    "postgres": {*NAMES, Door(OWN, 0), Door(ANYWHERE, 443), Door(ANYWHERE, 6443)},
    "milvus": {*NAMES, Door(OWN, 0)},
    "phoenix": NAMES,
}


@pytest.mark.parametrize("folder", ADMITTED)
def test_a_server_admits_the_workers_and_whoever_looks_after_it_and_goes_nowhere(
    rendered: Render, folder: str
) -> None:
    policies = _policies(rendered, folder)
    assert doors(policies, {}, "Ingress") == ADMITTED[folder]
    assert doors(policies, {}, "Egress") == REACHED[folder]
    denial = named(rendered(PLATFORM / folder), "NetworkPolicy")["deny-all"]
    assert denial["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_what_the_workers_may_reach_admits_them(rendered: Render) -> None:
    made = rendered(BASE)
    for workload in workloads(made).values():
        for place, port, protocol in doors(named(made, "NetworkPolicy").values(), workload.labels, "Egress"):
            if place not in ("kube-system", ANYWHERE):
                admitted = doors(_policies(rendered, place), {}, "Ingress")
                assert Door(WORKERS, port, protocol) in admitted, f"{workload.name} at {place}"
