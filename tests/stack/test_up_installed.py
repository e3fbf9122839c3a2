"""`askfleet up` from an installed package: no folder of ScaledObjects lies beside it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PACKAGES = ("contracts", "bus", "workers", "loadgen", "askfleet")

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """What a wheel holds, where pip would put it."""
    site = tmp_path / "site"
    for package in PACKAGES:
        shutil.copytree(CHECKOUT / package, site / package)
    return site


def up(site: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-P", "-m", "askfleet.main", "up", "--state-dir", str(site.parent / "state")]
    return subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=site.parent,
        env=os.environ | {"PYTHONPATH": str(site)},
    )


def test_it_says_once_that_nothing_is_scaled_and_what_to_do(installed: Path) -> None:
    idle = [f"--workers={name}=0" for name in ("router", "retrieval", "sql", "ingest", "bridge", "ops")]
    stack = up(installed, *idle)
    assert stack.stdout is not None
    first = stack.stdout.readline()
    second = stack.stdout.readline()
    stack.send_signal(signal.SIGINT)
    out, _ = stack.communicate(timeout=60)
    assert "nothing is scaled" in first
    assert "Give --scaled-objects DIR" in first
    assert "scaled-objects" not in second + out


def test_a_range_without_a_folder_is_refused_with_what_to_do(installed: Path) -> None:
    refused = up(installed, "--scale", "generation=0:4")
    out, _ = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert f"There is no folder {installed / 'deploy/keda/base/scaledobjects'}" in "".join(out.splitlines())
    assert "--scaled-objects DIR" in out
