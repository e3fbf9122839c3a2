"""What a local Ray leaves behind, with processes that stand for it: Ray itself is in test_bulk_ingest."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ENTERS = (
    "import sys; from askfleet.bulk.keeper import kept_folder\n"
    "with kept_folder() as folder: print(folder, flush=True); "
)
WITHIN_S = 10.0


@pytest.fixture
def started() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def command(folder: Path, then: str, started: ExitStack) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", ENTERS + then],
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    started.enter_context(process)
    started.callback(process.kill)
    return process


def writer(folder: Path, started: ExitStack) -> "subprocess.Popen[bytes]":
    """As a process of Ray: its log lies in the folder."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["sleep", "60"], stdout=log, start_new_session=True)
    started.enter_context(process)
    started.callback(process.kill)
    return process


def first_line(process: "subprocess.Popen[str]") -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def until_gone(folder: Path) -> None:
    deadline = time.monotonic() + WITHIN_S
    while folder.exists():
        assert time.monotonic() < deadline, f"{folder} is still there"
        time.sleep(0.02)


def test_when_the_command_is_killed_its_processes_and_its_folder_go(
    tmp_path: Path, started: ExitStack
) -> None:
    process = command(tmp_path, "sys.stdin.read()", started)
    folder = first_line(process)
    left = writer(folder, started)
    process.kill()
    assert left.wait(WITHIN_S) < 0
    until_gone(folder)


def test_a_command_that_ends_takes_all_with_it_and_is_not_killed_itself(
    tmp_path: Path, started: ExitStack
) -> None:
    process = command(tmp_path, "log = open(folder / 'own', 'w'); sys.stdin.read()", started)
    folder = first_line(process)
    left = writer(folder, started)
    process.communicate(timeout=WITHIN_S)
    assert process.returncode == 0
    assert left.wait(WITHIN_S) < 0
    assert not folder.exists()


def test_the_next_run_removes_what_was_left_and_nothing_that_is_in_use(
    tmp_path: Path, started: ExitStack
) -> None:
    other = command(tmp_path, "sys.stdin.read()", started)
    in_use = first_line(other)
    abandoned, young, foreign = (tmp_path / name for name in ("askfleet-ray-a", "askfleet-ray-b", "other"))
    for folder in (abandoned, young, foreign):
        folder.mkdir()
    (abandoned / "in-use").touch()
    (tmp_path / "askfleet-ray-link").symlink_to(foreign)
    left = writer(abandoned, started)
    command(tmp_path, "pass", started).communicate(timeout=WITHIN_S)
    assert left.wait(WITHIN_S) < 0
    assert not abandoned.exists()
    assert young.exists(), "another run may just be making it"
    assert foreign.exists()
    assert in_use.exists()
    assert other.poll() is None
    os.utime(young, (0, 0))
    command(tmp_path, "pass", started).communicate(timeout=WITHIN_S)
    assert not young.exists()
