"""The commands of docs/deploy-eks.md that need no cloud are run; of the others, what they name is there."""

import ast
import inspect
import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pymilvus import MilvusClient

from askfleet.reference import NATS_CHART, PLATFORM
from bus.permissions import FLEET_ROLES
from bus.server import load_keys
from tests.manifests.conftest import ROOT, Render
from tests.manifests.strict import named, read
from workers.shell.tenants import Tenants

PAGE = ROOT / "docs" / "deploy-eks.md"
README = ROOT / "deploy" / "keda" / "README.md"


BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
MADE = {"karpenter.yaml", "nats-values.yaml", "tenants.yaml"}
"""Files that commands of the page write."""
CLUSTER = PLATFORM / "eks" / "cluster.yaml"


def _lines(program: str) -> list[list[str]]:
    """Arguments of each command that begins with the program; variables stay as they are written."""
    text = "".join(BLOCKS).replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(rf"^{program} [^|\n]*", text, re.MULTILINE)]


def _option(arguments: list[str], *names: str) -> list[str]:
    return [value for name, value in itertools.pairwise(arguments) if name in names]


def _commands(heading: str) -> str:
    section = PAGE.read_text().partition(f"## {heading}")[2]
    return section.partition("```\n")[2].partition("```")[0]


def test_keys_certificates_and_values_are_made_as_the_page_says(tmp_path: Path, kubectl: Path) -> None:
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    path = f"{Path(sys.executable).parent}:{kubectl.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "API_KEY": "an-api-key", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _commands("3.")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Tenants.load(tmp_path / "tenants.yaml").by_key("an-api-key").tenant == "acme"
    keys = load_keys(tmp_path / "keys" / "public.yaml")
    assert set(keys.roles) == {role.name for role in FLEET_ROLES}
    assert set(keys.tenants) == {"acme"}
    made = (tmp_path / "nats-values.yaml").read_text()
    assert keys.roles["router"][0] in made
    assert made.partition("accounts:")[0] == NATS_CHART.read_text().partition("accounts:")[0]


@pytest.mark.parametrize("page", [PAGE, README], ids=lambda page: page.name)
def test_every_folder_and_file_of_a_command_is_there(page: Path) -> None:
    named = set(re.findall(r"(?:-k|-f) (deploy/[\w./-]+)", page.read_text()))
    assert named
    for path in named:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: " ".join(block.split()[:3]))
def test_every_block_is_valid_bash(block: str) -> None:
    done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_path_of_a_command_is_there_and_every_folder_that_is_applied_renders(rendered: Render) -> None:
    for path in re.findall(r"deploy/[\w./-]*\w", "".join(BLOCKS)):
        assert (ROOT / path).exists(), path
    applied = {name for line in _lines("kubectl") for name in _option(line, "-k")}
    assert {"deploy/keda/overlays/aws-karpenter", "deploy/keda/weights"} <= applied
    for folder in applied:
        assert rendered(ROOT / folder), folder


def test_every_chart_has_a_source_a_namespace_and_values_that_are_yaml() -> None:
    charts = {line[3]: line for line in _lines("helm")}
    assert {"monitoring", "karpenter", "keda", "cnpg", "nats", "milvus", "argocd"} <= set(charts)
    for name, line in charts.items():
        assert line[:3] == ["helm", "upgrade", "--install"], name
        assert line[4].startswith("oci://") or _option(line, "--repo"), name
        assert _option(line, "-n"), name
        assert all(re.fullmatch(r"[\w.]+=\S+", value) for value in _option(line, "--set")), name
        for file in _option(line, "-f"):
            assert file in MADE or isinstance(yaml.safe_load((ROOT / file).read_text()), dict), file
    given = {file for line in charts.values() for file in _option(line, "-f")}
    shipped = {str(path.relative_to(ROOT)) for path in PLATFORM.glob("*/values.yaml")}
    assert given - MADE == shipped - {str(NATS_CHART.relative_to(ROOT))}
    assert _option(charts["keda"], "--version") == ["2.20.2"]
    assert _option(charts["nats"], "--version") == ["2.14.6"]


def test_namespaces_of_the_charts_are_those_of_the_network_policies() -> None:
    installed = {line[3]: _option(line, "-n")[0] for line in _lines("helm")}
    assert (installed["keda"], installed["nats"], installed["milvus"]) == ("keda", "nats", "milvus")
    assert (installed["monitoring"], installed["cnpg"]) == ("monitoring", "cnpg-system")


def test_what_a_file_is_applied_with_is_there_before(rendered: Render) -> None:
    """Monitors before the charts that make some; the claim of the weights before the Job that writes it."""
    text = "".join(BLOCKS)
    order = [
        "monitoring kube-prometheus-stack",
        "platform/nats\n",
        "install nats nats",
        "keda/overlays/aws-karpenter -l",
    ]
    order += ["-k deploy/keda/weights", "job/weights"]
    assert [text.index(step) for step in order] == sorted(text.index(step) for step in order)
    (job,) = named(rendered(ROOT / "deploy" / "keda" / "weights"), "Job").values()
    (volume, _) = job["spec"]["template"]["spec"]["volumes"]
    claims = named(rendered(ROOT / "deploy" / "keda" / "overlays" / "aws-karpenter"), "PersistentVolumeClaim")
    claim = claims[volume["persistentVolumeClaim"]["claimName"]]["spec"]
    assert claim["accessModes"] == ["ReadWriteMany"]
    classes = named(rendered(PLATFORM / "storage"), "StorageClass")
    assert claim["storageClassName"] in classes
    (default,) = [name for name, one in classes.items() if one["metadata"].get("annotations")]
    assert classes[default]["provisioner"] == "ebs.csi.aws.com"


def test_roles_and_accounts_of_the_cluster_are_those_that_the_page_installs(rendered: Render) -> None:
    (cluster,) = read(CLUSTER)
    name = cluster["metadata"]["name"]
    identities = {one["serviceAccountName"]: one for one in cluster["iam"]["podIdentityAssociations"]}
    charts = {line[3]: line for line in _lines("helm")}
    assert set(identities) <= set(charts)
    for account, identity in identities.items():
        assert [identity["namespace"]] == _option(charts[account], "-n"), account
    assert all(arn.endswith(f"-{name}") for arn in identities["karpenter"]["permissionPolicyARNs"])
    assert f"settings.clusterName={name}" in charts["karpenter"]
    nodes = named(rendered(ROOT / "deploy" / "keda" / "overlays" / "aws-karpenter"), "EC2NodeClass")
    (mapping,) = cluster["iamIdentityMappings"]
    assert {mapping["arn"].rpartition("/")[2]} == {one["spec"]["role"] for one in nodes.values()}
    drivers = {addon["name"] for addon in cluster["addons"]}
    assert {"aws-ebs-csi-driver", "aws-efs-csi-driver", "eks-pod-identity-agent"} <= drivers


def test_milvus_users_are_made_by_calls_that_its_client_has() -> None:
    script = ast.parse((PLATFORM / "milvus" / "users.py").read_text())
    called = [
        node
        for node in ast.walk(script)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and hasattr(MilvusClient, node.func.attr)
    ]
    assert {"update_password", "create_user", "grant_role"} <= {node.func.attr for node in called}  # type: ignore[attr-defined]
    for node in called:
        method = getattr(MilvusClient, node.func.attr)  # type: ignore[attr-defined]
        words = {str(word.arg): None for word in node.keywords}
        signature = inspect.signature(method)
        signature.bind(None, *node.args, **words)
        assert set(words) <= set(signature.parameters), "`**kwargs` would swallow it"


def test_every_server_of_the_platform_is_installed() -> None:
    text = PAGE.read_text()
    for folder in sorted((ROOT / "deploy" / "keda" / "platform").iterdir()):
        assert f"deploy/keda/platform/{folder.name}" in text, folder.name
