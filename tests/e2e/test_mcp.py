"""The tools for agents, called by the official MCP client, which starts `askfleet mcp` as an agent does."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fleet import DEMO, DOCS, Fleet
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def agent(fleet: Fleet, *, tenant: str = DEMO, key: str = "") -> AsyncIterator[Client]:
    environment = {"AF_URL": fleet.url(), "AF_API_KEY": key or fleet.keys[tenant]}
    command = StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "askfleet.main", "mcp"], env=environment
    )
    async with Client(command, read_timeout_seconds=60) as client:
        yield client


def text(result: CallToolResult) -> str:
    return "".join(part.text for part in result.content if isinstance(part, TextContent))


async def test_an_agent_sees_three_tools_that_only_read(fleet: Fleet) -> None:
    async with agent(fleet) as client:
        tools = (await client.list_tools()).tools

    assert {tool.name for tool in tools} == {"ask", "search_documents", "query_database"}
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
    assert all(tool.description and tool.output_schema for tool in tools)


async def test_an_agent_asks_searches_and_queries(fleet: Fleet) -> None:
    async with agent(fleet) as client:
        said = await client.call_tool(
            "ask", {"question": "How long does the warranty on a home battery last?", "route": "documents"}
        )
        found = await client.call_tool("search_documents", {"question": "home battery warranty", "top_k": 2})
        table = await client.call_tool("query_database", {"question": "How many tickets are there?"})

    answer, passages, rows = said.structured_content, found.structured_content, table.structured_content
    assert answer is not None
    assert passages is not None
    assert rows is not None
    assert answer["answered"]
    assert answer["citations"][0]["source"] == "handbook/warranty.md"
    assert passages["passages"][0]["source"] == "handbook/warranty.md"
    assert len(passages["passages"]) == 2
    assert rows["rows"] == [[2000]]
    assert "count" in rows["statement"].lower()


async def test_an_agent_reads_what_its_tenant_may_read_and_is_told_why_not(fleet: Fleet) -> None:
    async with agent(fleet, tenant=DOCS) as client:
        found = await client.call_tool("search_documents", {"question": "home battery warranty"})
    async with agent(fleet, key="no-such-key") as client:
        refused = await client.call_tool("ask", {"question": "Anything?"})

    assert found.structured_content is not None
    assert all("handbook" not in passage["source"] for passage in found.structured_content["passages"])
    assert refused.is_error
    assert "key" in text(refused)
