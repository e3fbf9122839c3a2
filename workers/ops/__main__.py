"""`python -m workers.ops`: the operator's page."""

import sys

from workers.ops.app import make
from workers.ops.settings import OpsSettings
from workers.shell.process import run_worker

if __name__ == "__main__":
    sys.exit(run_worker("ops", OpsSettings, make, probes=False))
