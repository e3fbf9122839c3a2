"""Runs a command that must not outlive its parent: `python -I -S leash.py PARENT SIGNAL UID GID COMMAND...`.

A script of its own, so that nothing runs between fork and exec in a process that has threads. On Linux the
kernel sends SIGNAL when the parent dies (prctl(2), PR_SET_PDEATHSIG), and the command replaces this process:
the pid that the parent started is the command's. Elsewhere this process stays, watches its parent and stops
the command. UID and GID are -1 to stay who one is.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
PARENT_CHECK_S = 1.0
GRACE_S = 20.0


def leashed(
    command: Sequence[str], *, death_signal: int = signal.SIGTERM, user: tuple[int, int] | None = None
) -> list[str]:
    """The command line that runs `command` and ends it with this process; as `user` (uid, gid) if given."""
    uid, gid = user or (-1, -1)
    numbers = (os.getpid(), int(death_signal), uid, gid)
    return [sys.executable, "-I", "-S", __file__, *map(str, numbers), *command]


def main(arguments: list[str]) -> int:
    parent, death_signal, uid, gid = (int(argument) for argument in arguments[:4])
    command = arguments[4:]
    # A shell starts background jobs with SIGINT ignored, and exec hands that on.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform != "linux":
        return supervise(parent, death_signal, command, user=None if uid < 0 else (uid, gid))
    if uid >= 0:  # before prctl: a change of user clears what it sets
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if not leash_to(parent, death_signal):
        return 1
    try:
        os.execvp(command[0], command)  # noqa: S606 - the point of this script
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127


def leash_to(parent: int, death_signal: int) -> bool:
    """Linux: the kernel sends `death_signal` to us when the parent dies. False when it is dead already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    return os.getppid() == parent


def supervise(
    parent: int, death_signal: int, command: list[str], *, user: tuple[int, int] | None = None
) -> int:
    uid, gid = user or (None, None)
    child = subprocess.Popen(command, user=uid, group=gid)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    while child.poll() is None:
        if os.getppid() != parent:
            return _end(child, death_signal)
        try:
            child.wait(PARENT_CHECK_S)
        except subprocess.TimeoutExpired:
            continue
    return child.returncode


def _end(child: "subprocess.Popen[bytes]", death_signal: int) -> int:
    child.send_signal(death_signal)
    give_up = time.monotonic() + GRACE_S
    while child.poll() is None and time.monotonic() < give_up:
        time.sleep(0.05)
    child.kill()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
