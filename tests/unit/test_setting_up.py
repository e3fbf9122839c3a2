"""What `make` installs: read from what it would run, nothing is run."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = {
    "runtime": ".venv/.runtime-installed",
    "dev": ".venv/.dev-installed",
    "ray": ".venv/.ray-installed",
    "phoenix": ".venv-phoenix/.installed",
    "clients": ".venv-clients/.installed",
    "vllm": ".venv-vllm/.installed",
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_all_that_is_installed_is_hashed(name: str) -> None:
    installed = [command for command in _would_run(ENVIRONMENTS[name]) if "pip install" in command]
    assert any(f"-r requirements/{name}.txt" in command for command in installed)
    for command in installed:
        # Our own code, and torch, whose build for CPUs comes from where this machine keeps it.
        ours, torch = command.endswith("--offline -e ."), "'torch==" in command
        assert "--require-hashes" in command or ours or torch, command


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_nothing_is_fetched_to_build_a_package_that_comes_as_source(name: str) -> None:
    installed = [command for command in _would_run(ENVIRONMENTS[name]) if "uv pip install" in command]
    assert all("--no-build-isolation" in command and "--no-deps" in command for command in installed)
    comes_as_source = [at for at, command in enumerate(installed) if f"-r requirements/{name}.txt" in command]
    builder = [at for at, command in enumerate(installed) if "-r requirements/build.txt" in command]
    locked = (ROOT / "requirements" / f"{name}.txt").read_text()
    if "\nnkeys==" in locked:
        assert builder[0] < comes_as_source[0], "nkeys has no wheel"


def _would_run(target: str) -> list[str]:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    shown = subprocess.run(
        [make, "--dry-run", "--always-make", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return shown.stdout.replace("\\\n", " ").splitlines()
