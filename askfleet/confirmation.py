"""Asking before something that can't be taken back."""

import sys

import typer

from contracts.errors import Misconfigured


def confirm(question: str, *, yes: bool) -> None:
    """Return when the person agrees or said so with --yes; end the command when not.

    Raises:
        Misconfigured: there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Misconfigured(f"{question} There is no terminal to answer on.", remedy="Add --yes.")
    typer.confirm(question, abort=True, err=True)
