"""The command line: `askfleet --help`."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pkgutil import resolve_name
from typing import Annotated

import typer

from askfleet.logs import configure_logs
from contracts.errors import AskfleetError, Misconfigured

COMMANDS = (
    "up",
    "ask",
    "ingest",
    "router",
    "sql",
    "status",
    "cancel",
    "dlq",
    "feedback",
    "mcp",
    "load",
    "fleet",
    "tune",
    "simulate",
    "eval",
)
"""Each is the function, or the group of commands, of that name in `askfleet.commands.<name>`."""
# What measures us lies above us and may use all of it. It is found by name, when it is asked for, so that
# nothing here depends on it: an installation without `evals` lacks this command and no other.
_ELSEWHERE = {"eval": "evals.commands:evaluations"}


def application(*names: str) -> typer.Typer:
    """The commands of those names. A shell waits for each import, so `main` asks for the one that it runs."""
    app = typer.Typer(
        name="askfleet",
        help="Questions over private documents and databases, answered by a fleet of workers on NATS.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    app.callback()(_front_door)
    for name in names:
        command = resolve_name(_ELSEWHERE.get(name, f"askfleet.commands.{name}:{name}"))
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Errors of ours are printed with their remedy; anything else is a defect and keeps its traceback."""
    configure_logs()
    given = list(sys.argv[1:] if arguments is None else arguments)
    wanted = [name for name in COMMANDS if given[:1] == [name]]
    try:
        application(*(wanted or COMMANDS))(given)
    except AskfleetError as error:
        print(f"error: {error.detail}\nremedy: {error.remedy}", file=sys.stderr)
        sys.exit(2 if isinstance(error, Misconfigured) else 1)


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"askfleet {version('askfleet')}")
        raise typer.Exit


def _front_door(
    _: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    """Without a callback, Typer would make a lone command the whole program."""


if __name__ == "__main__":
    main()
