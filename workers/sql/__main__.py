"""`python -m workers.sql`: answers questions from a SQL database."""

import sys

from workers.shell.process import run_worker
from workers.sql.app import make
from workers.sql.settings import SqlSettings

if __name__ == "__main__":
    sys.exit(run_worker("sql", SqlSettings, make))
