"""`askfleet sql ...`: what the SQL workers know of a database."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from askfleet.commands import options
from askfleet.local.state import StateFolder
from contracts.errors import UnknownTenant
from workers.shell.tenants import Tenants

sql = typer.Typer(
    help="What the SQL workers know of a database.\n\n    askfleet sql model init",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
model = typer.Typer(
    help="The semantic model: what people call the tables and columns of a database, as a file to edit.\n\n"
    "    askfleet sql model init shop.yaml\n\n    askfleet sql model check shop.yaml",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
sql.add_typer(model, name="model")

DEFAULT_FILE = Path("semantic_model.yaml")
File = Annotated[Path, typer.Argument(help="The YAML file; AF_SEMANTIC_MODEL names it to the workers.")]
Dsn = Annotated[
    str | None,
    typer.Option(
        envvar="AF_DSN", help="PostgreSQL to read; default: the running local stack's, of the tenant."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@model.command()
def init(
    file: File = DEFAULT_FILE,
    dsn: Dsn = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
    tenant: options.Tenant = options.TENANT,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Write what was read from the database, with comments for the person who edits it.

    askfleet sql model init shop.yaml --dsn postgresql://reader@db.example.org/shop
    """
    from askfleet.semantic_model import write_draft

    found = write_draft(_dsn(dsn, tenant, state_dir), file, force=force)
    columns = sum(len(entity.columns) for entity in found.entities)
    typer.echo(
        f"{file}: {len(found.entities)} tables, {columns} columns, {len(found.joins)} joins, "
        f"{len(found.formulas)} formulas. Edit it, check it, and name it with AF_SEMANTIC_MODEL."
    )


@model.command()
def check(
    file: File = DEFAULT_FILE,
    dsn: Dsn = None,
    as_json: Json = False,
    tenant: options.Tenant = options.TENANT,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Find the mistakes of an edited file against the database; exit 1 if there are any.

    Formulas and verified queries are run once, read-only, as the SQL worker would.

        askfleet sql model check shop.yaml
    """
    from askfleet.semantic_model import check_file

    findings = asyncio.run(check_file(file, _dsn(dsn, tenant, state_dir), tenant=tenant))
    if as_json:
        typer.echo(json.dumps({"file": str(file), "findings": [asdict(finding) for finding in findings]}))
    else:
        for found in findings:
            typer.echo(f"{file}:{found.line}: {found.code}: {found.detail}\n    {found.remedy}")
        typer.echo(f"{file}: {len(findings)} to correct" if findings else f"{file}: no mistakes")
    raise typer.Exit(1 if findings else 0)


@model.command()
def diff(
    file: File = DEFAULT_FILE,
    dsn: Dsn = None,
    as_json: Json = False,
    tenant: options.Tenant = options.TENANT,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Show what the database has changed since, and what the file changes of it.

    A table or column that the file leaves out (+) is used as it is found; what is gone (-) is left alone.

        askfleet sql model diff shop.yaml
    """
    from askfleet.semantic_model import compare_file

    found = asyncio.run(compare_file(file, _dsn(dsn, tenant, state_dir)))
    if as_json:
        typer.echo(json.dumps({"file": str(file), **asdict(found)}))
        return
    for title, changes in (("The database, beside the file", found.database), ("The file", found.person)):
        typer.echo(f"{title}:{'' if changes else ' no changes'}")
        for change in changes:
            typer.echo(f"  {change}")


def _dsn(given: str | None, tenant: str, state_dir: Path) -> str:
    """Raises Misconfigured: nothing was given and no stack runs; UnknownTenant."""
    if given:
        return given
    record = StateFolder(state_dir).running_stack()
    found = Tenants.load(record.tenants_file).tenants.get(tenant)
    if found is None:
        raise UnknownTenant(f"The tenant {tenant!r} is not in {record.tenants_file}.")
    return found.dsn.get_secret_value() if found.dsn is not None else record.sql_dsn
