"""A conversation through the OpenAI-compatible door."""

import asyncio
from pathlib import Path

from bridges import accept_next, bridge

from bus.connection import Bus
from contracts import Done, Query, Turn
from workers.router.handler import stand_alone

MESSAGES = [
    {"role": "system", "content": "You are a pirate."},
    {"role": "user", "content": "How many orders came in April?"},
    {"role": "assistant", "content": "There were 12 orders [1]."},
    {"role": "user", "content": [{"type": "text", "text": "and in May?"}]},
]


async def test_the_messages_of_an_openai_client_are_the_conversation(bus: Bus, tmp_path: Path) -> None:
    async def answer() -> Query:
        writer, query = await accept_next(bus)
        await writer.append(Done(text="15"))
        return query

    async with bridge(bus, tmp_path) as client:
        worker = asyncio.create_task(answer())
        reply = await client.post("/v1/chat/completions", json={"messages": MESSAGES})
        query = await worker

    assert reply.json()["choices"][0]["message"]["content"] == "15"
    assert query.question == "and in May?"
    assert query.history == (
        Turn(role="user", content="How many orders came in April?"),
        Turn(role="assistant", content="There were 12 orders [1]."),
    )
    assert (await stand_alone(query)).spoken == "How many orders came in May?"
