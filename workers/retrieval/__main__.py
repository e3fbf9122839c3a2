"""`python -m workers.retrieval`: searches the documents for a question."""

import sys

from workers.retrieval.app import make
from workers.retrieval.settings import RetrievalSettings
from workers.shell.process import run_worker

if __name__ == "__main__":
    sys.exit(run_worker("retrieval", RetrievalSettings, make))
