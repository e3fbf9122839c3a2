"""Ends what a local Ray leaves behind: `python -I -S keeper.py FOLDER`, until its standard input ends.

A script of its own, in a session of its own: it outlives a command that is killed. By itself Ray takes a
minute and more for its agents, and never removes its folder.
"""

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "askfleet-ray-"
_LOCK = "in-use"
_PATIENCE_S = 20.0
_PAUSE_S = 0.05
_YOUNG_S = 60.0


@contextmanager
def kept_folder() -> Iterator[Path]:
    """A folder for Ray that goes, with all processes that write into it, when this process ends or leaves."""
    for left in _left_folders(Path(tempfile.gettempdir())):
        end(left)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(folder)], stdin=subprocess.PIPE, start_new_session=True
        )
        try:
            yield folder
        finally:
            keeper.communicate()


def _left_folders(below: Path) -> Iterator[Path]:
    """Of runs that ended with their keeper, as when a container or the machine stops."""
    for folder in below.glob(f"{PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if ours and _is_free(folder, age_s=time.time() - status.st_mtime):
                yield folder


def _is_free(folder: Path, *, age_s: float) -> bool:
    try:
        with (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        # Another run may have made it a moment ago.
        return age_s > _YOUNG_S
    except BlockingIOError:
        return False


def end(folder: Path) -> None:
    """Kill what has a file below the folder open, as every process of Ray has its log; remove the folder."""
    give_up = time.monotonic() + _PATIENCE_S
    while (found := list(_at_work_in(folder))) and time.monotonic() < give_up:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)
    shutil.rmtree(folder, ignore_errors=True)


def _at_work_in(folder: Path) -> Iterator[int]:
    """None where there is no /proc: there Ray has a process like this one, for processes alone."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            links = [os.readlink(link) for link in (process / "fd").iterdir()]
            # Not the command itself, which is this process or waits for it.
            if int(process.name) not in (os.getpid(), os.getppid()) and any(
                link.startswith(f"{folder}/") for link in links
            ):
                yield int(process.name)


if __name__ == "__main__":
    # Ctrl-C and the end of a terminal are the command's; this ends when that has.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end(Path(sys.argv[1]))
