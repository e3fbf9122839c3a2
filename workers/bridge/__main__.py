"""`python -m workers.bridge`: HTTP in, queries on NATS, answers out as event streams."""

import sys

from workers.bridge.app import make
from workers.bridge.settings import BridgeSettings
from workers.shell.process import run_worker

if __name__ == "__main__":
    sys.exit(run_worker("bridge", BridgeSettings, make, probes=False))
