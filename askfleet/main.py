"""The command line: `askfleet --help`."""

import sys

import typer

from askfleet.commands.ask import ask
from askfleet.commands.cancel import cancel
from askfleet.commands.status import status
from askfleet.commands.up import up
from askfleet.logs import configure_logs
from contracts.errors import AskfleetError, Misconfigured

app = typer.Typer(
    name="askfleet",
    help="Questions over private documents and databases, answered by a fleet of workers on NATS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (up, ask, status, cancel):
    app.command()(command)


def main() -> None:
    """Errors of ours are printed with their remedy; anything else is a defect and keeps its traceback."""
    configure_logs()
    try:
        app()
    except AskfleetError as error:
        print(f"error: {error.detail}\nremedy: {error.remedy}", file=sys.stderr)
        sys.exit(2 if isinstance(error, Misconfigured) else 1)


if __name__ == "__main__":
    main()
