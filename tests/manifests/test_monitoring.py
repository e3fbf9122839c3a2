"""What Prometheus scrapes in a cluster carries the labels that alerts and dashboard ask for."""

import re
from pathlib import Path

import pytest
import yaml

from askfleet.reference import ALERTS, PLATFORM
from tests.manifests.conftest import ROOT, Render
from tests.manifests.strict import Manifest, named
from tests.manifests.workloads import BASE, workloads

OBSERVABILITY = ROOT / "deploy" / "observability"
OF_A_TARGET = {"namespace", "pod", "container", "endpoint", "job", "instance"}
"""Labels that the Prometheus operator puts on what a PodMonitor finds."""
SAME_EVERYWHERE = {"job", "instance"}
ASKED = re.compile(r"(?:by|on|without|ignoring|group_left)\s*\(([\w, ]*)\)|([a-z_]+)=~?\"")
PODS = ("router", "retrieval", "sql", "generation-default", "ingest", "bridge", "ops", "costs")


@pytest.fixture
def monitor(rendered: Render) -> Manifest:
    return named(rendered(PLATFORM / "monitoring"), "PodMonitor")["askfleet"]


def _asked(text: str) -> set[str]:
    found = (first or second for first, second in ASKED.findall(text.replace('\\"', '"')))
    return {label.strip() for labels in found for label in labels.split(",") if label.strip()}


def test_every_pod_that_serves_metrics_is_scraped_at_its_port(rendered: Render, monitor: Manifest) -> None:
    spec = monitor["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    scraped = set()
    for name, workload in workloads(rendered(BASE)).items():
        assert workload.manifest["metadata"]["namespace"] in spec["namespaceSelector"]["matchNames"]
        ports = [port["name"] for port in workload.worker.get("ports", ())]
        if spec["selector"]["matchLabels"].items() <= workload.labels.items() and endpoint["port"] in ports:
            scraped.add(name)
    assert scraped == set(PODS)
    annotations = workloads(rendered(BASE))["router"].manifest["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == endpoint["path"]


def test_prometheus_may_come_to_the_port_that_it_scrapes(rendered: Render, monitor: Manifest) -> None:
    policy = named(rendered(BASE), "NetworkPolicy")["metrics"]["spec"]
    (rule,) = policy["ingress"]
    assert rule["from"][0]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": monitor["metadata"]["namespace"]
    }
    worker = workloads(rendered(BASE))["router"].worker
    assert [port["port"] for port in rule["ports"]] == [port["containerPort"] for port in worker["ports"]]


def test_jobs_and_instances_are_called_as_on_one_machine(monitor: Manifest) -> None:
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    made = {rule["targetLabel"]: rule for rule in endpoint["relabelings"]}
    assert set(made) == SAME_EVERYWHERE
    (local,) = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text())["scrape_configs"]
    assert made["job"]["replacement"] == local["job_name"]
    assert made["instance"]["sourceLabels"] == ["__meta_kubernetes_pod_name"]


@pytest.mark.parametrize(
    "file", [ALERTS, OBSERVABILITY / "grafana-askfleet.json"], ids=lambda path: path.name
)
def test_no_query_asks_for_a_label_that_means_something_else_in_a_cluster(file: Path) -> None:
    asked = _asked(file.read_text())
    assert {"stage", "le"} <= asked
    assert asked & OF_A_TARGET <= SAME_EVERYWHERE


def test_no_metric_of_ours_has_a_label_that_scraping_would_rename() -> None:
    sources = [*ROOT.glob("workers/**/*.py"), *ROOT.glob("bus/**/*.py")]
    made = re.compile(r"(?:Gauge|Counter|Histogram)\((?:[^()]|\([^()]*\))*?\[([^\]]*)\]")
    labels = {
        name
        for path in sources
        for found in made.findall(path.read_text())
        for name in re.findall(r'"(\w+)"', found)
    }
    assert {"stage", "worker", "route"} <= labels
    assert not labels & OF_A_TARGET


def test_prometheus_reads_rules_and_monitors_of_any_release() -> None:
    values = yaml.safe_load((PLATFORM / "monitoring" / "values.yaml").read_text())["prometheus"][
        "prometheusSpec"
    ]
    assert values == {
        f"{kind}SelectorNilUsesHelmValues": False for kind in ("rule", "podMonitor", "serviceMonitor")
    }
