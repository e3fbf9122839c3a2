"""Where tables go: the terminal as wide as it is; elsewhere wide enough that no row is broken."""

import sys

from rich.console import Console

WIDTH_IN_FILES = 200


def screen() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH_IN_FILES)
