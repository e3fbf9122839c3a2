"""The embedder for OpenAI-compatible servers against a real HTTP server in this process."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from contracts.errors import DependencyUnavailable, InvalidDocument, Misconfigured
from workers.embedding import EmbedderSettings
from workers.embedding.openai import OpenAiEmbedder

Reply = tuple[int, object]


class Server:
    """Answers each POST with what `reply` makes of its texts."""

    def __init__(self, reply: Callable[[list[str]], Reply]) -> None:
        self.reply = reply
        self.requests: list[list[str]] = []
        self.headers: list[str] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().lower().split("\r\n")
                length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
                texts = json.loads(await reader.readexactly(length))["input"]
                self.headers.append(head.decode())
                self.requests.append(texts)
                status, body = self.reply(texts)
                content = json.dumps(body).encode()
                writer.write(
                    f"HTTP/1.1 {status} x\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content
                )
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    listener.close()


def embedder_for(url: str, **changes: object) -> OpenAiEmbedder:
    return OpenAiEmbedder(
        EmbedderSettings.model_validate(
            {"kind": "openai", "url": url, "model": "m", "dimension": 2} | changes
        )
    )


def lengths(texts: list[str]) -> Reply:
    """Out of order on purpose."""
    items = [{"index": i, "embedding": [float(len(text)), 0.0]} for i, text in enumerate(texts)]
    items[0]["embedding"] = [0.0, 3.0]
    return 200, {"data": items[::-1]}


async def test_vectors_are_put_in_order_by_index_and_scaled_to_length_one() -> None:
    server = Server(lengths)
    async with serving(server) as url:
        embedder = embedder_for(url, api_key="secret")
        np.testing.assert_allclose(await embedder.embed(["a", "bb", "ccc"]), [[0, 1], [1, 0], [1, 0]])
        await embedder.close()
    assert "Bearer secret" in server.headers[0]


async def test_many_texts_go_in_requests_of_the_stated_size() -> None:
    server = Server(lengths)
    async with serving(server) as url:
        embedder = embedder_for(url, batch_size=2)
        assert (await embedder.embed(list("abcde"))).shape == (5, 2)
        await embedder.close()
    assert server.requests == [["a", "b"], ["c", "d"], ["e"]]


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        ((503, {}), DependencyUnavailable, "503"),
        ((429, {}), DependencyUnavailable, "429"),
        ((401, {}), Misconfigured, "AF_EMBEDDER_API_KEY"),
        ((400, {"error": "too long"}), InvalidDocument, "too long"),
        ((200, {"nothing": 1}), DependencyUnavailable, "did not answer with embeddings"),
        ((200, {"data": [{"index": 0, "embedding": [1, 2, 3]}]}), Misconfigured, "AF_EMBEDDER_DIMENSION"),
    ],
)
async def test_a_bad_answer_is_a_typed_error(reply: Reply, error: type[Exception], words: str) -> None:
    async with serving(Server(lambda _: reply)) as url:
        embedder = embedder_for(url)
        with pytest.raises(error, match=words):
            await embedder.embed(["a"])
        await embedder.close()


async def test_a_text_that_the_server_refuses_does_not_fail_its_neighbours() -> None:
    def reply(texts: list[str]) -> Reply:
        return (400, {"error": "bad"}) if "bad" in texts else lengths(texts)

    async with serving(Server(reply)) as url:
        embedder = embedder_for(url)
        asked: list[Awaitable[object]] = [embedder.embed([text]) for text in ("one", "bad", "two")]
        results = await asyncio.gather(*asked, return_exceptions=True)
        await embedder.close()
    assert [isinstance(result, InvalidDocument) for result in results] == [False, True, False]


async def test_a_server_that_is_not_there_is_a_transient_fault_that_names_it() -> None:
    async with serving(Server(lengths)) as url:
        pass
    embedder = embedder_for(url)
    with pytest.raises(DependencyUnavailable, match=url):
        await embedder.embed(["a"])
    await embedder.close()
