"""`python -m workers.router`: accepts queries and decides where each one goes."""

import sys

from workers.router.app import make
from workers.router.settings import RouterSettings
from workers.shell.process import run_worker

if __name__ == "__main__":
    sys.exit(run_worker("router", RouterSettings, make))
