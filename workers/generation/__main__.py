"""`python -m workers.generation`: writes answers with a language model."""

import sys

from workers.generation.app import make
from workers.generation.settings import GenerationSettings
from workers.shell.process import run_worker

if __name__ == "__main__":
    sys.exit(run_worker("generation", GenerationSettings, make))
