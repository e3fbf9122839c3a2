"""The commands of docs/deploy-eks.md that need no cloud are run; of the others, what they name is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from askfleet.reference import NATS_CHART
from bus.permissions import FLEET_ROLES
from bus.server import load_keys
from tests.manifests.conftest import ROOT
from workers.shell.tenants import Tenants

PAGE = ROOT / "docs" / "deploy-eks.md"
README = ROOT / "deploy" / "keda" / "README.md"


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


def test_every_server_of_the_platform_is_installed() -> None:
    text = PAGE.read_text()
    for folder in sorted((ROOT / "deploy" / "keda" / "platform").iterdir()):
        assert f"deploy/keda/platform/{folder.name}" in text, folder.name
