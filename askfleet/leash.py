"""Runs a command that must not outlive its parent: `python -I -S leash.py PARENT_PID COMMAND...`.

A script of its own, so that nothing runs between fork and exec in a process that has threads. On Linux the
kernel sends SIGTERM when the parent dies (prctl(2), PR_SET_PDEATHSIG), and the command replaces this process:
the pid that the parent started is the command's. Elsewhere this process stays, watches its parent and stops
the command.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
PARENT_CHECK_S = 1.0
GRACE_S = 20.0


def main(arguments: list[str]) -> int:
    parent = int(arguments[0])
    command = arguments[1:]
    # A shell starts background jobs with SIGINT ignored, and exec hands that on.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform != "linux":
        return supervise(parent, command)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before prctl
        return 1
    try:
        os.execvp(command[0], command)  # noqa: S606 - the point of this script
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127


def supervise(parent: int, command: list[str]) -> int:
    child = subprocess.Popen(command)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    while child.poll() is None:
        if os.getppid() != parent:
            return _end(child)
        try:
            child.wait(PARENT_CHECK_S)
        except subprocess.TimeoutExpired:
            continue
    return child.returncode


def _end(child: "subprocess.Popen[bytes]") -> int:
    child.terminate()
    give_up = time.monotonic() + GRACE_S
    while child.poll() is None and time.monotonic() < give_up:
        time.sleep(0.05)
    child.kill()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
