"""`python -m workers.costs`: marks busy pods for Kubernetes."""

import sys

from workers.costs.app import make
from workers.costs.settings import CostSettings
from workers.shell.process import run_worker

if __name__ == "__main__":
    sys.exit(run_worker("costs", CostSettings, make))
