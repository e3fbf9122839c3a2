"""`askfleet mcp`: the platform as tools for agents."""

from typing import Annotated, Literal

import typer

from askfleet.commands import options

LOOPBACK = "127.0.0.1"


def mcp(
    tenant: options.Tenant = options.TENANT,
    key: options.Key = None,
    url: options.Url = None,
    state_dir: options.StateDir = options.STATE_DIR,
    transport: Annotated[
        Literal["stdio", "streamable-http"],
        typer.Option(help="`stdio` for an agent that starts this command, else an HTTP server."),
    ] = "stdio",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the HTTP server, on 127.0.0.1.")] = 8765,
) -> None:
    """Offer `ask`, `search_documents` and `query_database` to agents, by the Model Context Protocol.

    An agent's configuration names this command; over HTTP it connects to http://127.0.0.1:8765/mcp.

        askfleet mcp

        askfleet mcp --transport streamable-http --port 8765
    """
    from askfleet.agent_tools import agent_server

    door = options.find_door(state_dir, tenant=tenant, key=key, url=url)
    server = agent_server(door.url, door.key)
    if transport == "stdio":
        server.run("stdio")
    else:
        server.run("streamable-http", host=LOOPBACK, port=port)
