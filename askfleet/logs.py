"""Logs of the command line: warnings to stderr, so that what a command prints stays clean."""

import logging
import sys
from pathlib import Path
from typing import TextIO

import structlog


def configure_logs(level: int = logging.WARNING, *, to: TextIO | None = None) -> None:
    stream = to or sys.stderr
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=stream.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def open_log(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a", buffering=1)
