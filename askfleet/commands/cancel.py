"""`askfleet cancel`: stop an answer that is being written or waits."""

import asyncio
from typing import Annotated

import typer

from askfleet.commands import options
from askfleet.sse import cancel as cancel_answer
from askfleet.sse import open_client


def cancel(
    answer_id: Annotated[str, typer.Argument(help="The query's id, as `askfleet ask --json` shows it.")],
    tenant: options.Tenant = options.TENANT,
    key: options.Key = None,
    url: options.Url = None,
    state_dir: options.StateDir = options.STATE_DIR,
) -> None:
    """Cancel an answer, wherever it waits or is being written.

    askfleet cancel 0190c7a2b5d07f3c
    """
    door = options.find_door(state_dir, tenant=tenant, key=key, url=url)
    asyncio.run(_cancel(door, answer_id))
    typer.echo(f"cancelled {answer_id}")


async def _cancel(door: options.Door, answer_id: str) -> None:
    async with open_client(door.url) as client:
        await cancel_answer(client, answer_id, headers={"Authorization": f"Bearer {door.key}"})
