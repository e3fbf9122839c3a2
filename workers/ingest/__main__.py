"""`python -m workers.ingest`: documents in, searchable passages out."""

import sys

from workers.ingest.app import make
from workers.ingest.settings import IngestSettings
from workers.shell.process import run_worker

if __name__ == "__main__":
    sys.exit(run_worker("ingest", IngestSettings, make))
