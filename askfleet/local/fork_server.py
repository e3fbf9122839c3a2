"""Forks workers: `python -m askfleet.local.fork_server KIND...` imports the modules of those workers once.

An order comes as one packet on the socket that is this process's stdin; the answer is the pid of the new
worker. Between the two lie two forks: the process in the middle takes the order and ends, so that the worker
becomes a child of the stack (which is its subreaper meanwhile) and not of this process. The stack waits for
the worker as for any child, and the end of this process ends nobody. This process never holds an order, and
therefore no secret of a worker.

A library must not have a thread when it is forked: the thread is missing in the child, with whatever it held.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from askfleet.local.leash import leash_to

READY = b"ready"
MAX_ORDER_BYTES = 1 << 20
ADOPTION_POLL_S = 0.001
PR_SET_NAME = 15


@dataclass(frozen=True)
class Order:
    """A worker to start. `environment` is all of it, not what is added."""

    kind: str
    name: str
    log: str
    environment: dict[str, str]

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, packet: bytes) -> "Order":
        return cls(**json.loads(packet))


def main(kinds: list[str]) -> int:
    stack = os.getppid()
    channel = socket.socket(fileno=os.dup(0))
    _redirect(0, os.devnull, os.O_RDONLY)
    _import(kinds)
    if threads := _threads_after_a_fork():
        print(f"These threads would be missing in a worker: {', '.join(threads)}.", file=sys.stderr)
        return 1
    channel.send(READY)
    order = serve(channel, stack)
    return 0 if order is None else run(order)


def serve(channel: socket.socket, stack: int) -> Order | None:
    """Returns twice: in each new worker with its order, and here with None when the stack has gone."""
    while channel.recv(1, socket.MSG_PEEK):
        middle = os.fork()
        if middle == 0:
            return _worker(channel, stack)
        os.waitpid(middle, 0)
    return None


def run(order: Order) -> int:
    """Be `python -m workers.<kind>` from here on."""
    os.setsid()
    _redirect(1, order.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(1, 2)
    os.environ.clear()
    os.environ.update(order.environment)
    ctypes.CDLL(None).prctl(PR_SET_NAME, order.name.encode(), 0, 0, 0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # the standard library's generators see to this themselves
    sys.argv = [f"workers.{order.kind}"]
    gc.enable()
    runpy.run_module(f"workers.{order.kind}", run_name="__main__", alter_sys=True)
    return 0


def _import(kinds: list[str]) -> None:
    # What is collected before and frozen after stays on pages that parent and children share.
    gc.disable()
    for kind in kinds:
        importlib.import_module(f"workers.{kind}.app")
    importlib.import_module("workers.shell.process")
    gc.collect()
    gc.freeze()


def _threads_after_a_fork() -> list[str]:
    """Names of those beside this one. OpenBLAS ends its own when a fork comes, and makes new ones later."""
    rehearsal = os.fork()
    if rehearsal == 0:
        os._exit(0)
    os.waitpid(rehearsal, 0)
    tasks = [task for task in Path("/proc/self/task").iterdir() if task.name != str(os.getpid())]
    return [(task / "comm").read_text().strip() for task in tasks]


def _worker(channel: socket.socket, stack: int) -> Order:
    """Runs in the process in the middle; returns in the worker."""
    order = Order.decode(channel.recv(MAX_ORDER_BYTES))
    middle = os.getpid()
    if os.fork() != 0:
        os._exit(0)
    while os.getppid() == middle:
        time.sleep(ADOPTION_POLL_S)
    if not leash_to(stack, signal.SIGTERM):
        os._exit(1)
    channel.send(str(os.getpid()).encode())
    channel.close()
    return order


def _redirect(descriptor: int, path: str, flags: int) -> None:
    opened = os.open(path, flags, 0o666)
    os.dup2(opened, descriptor)
    os.close(opened)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
