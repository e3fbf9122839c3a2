"""The ports of a worker, each call a span of its own. Where nothing is traced they are as they were."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from bus.spans import Attributes, Kind, NoSpans, Span, Spans, Value
from contracts import Passage, Usage
from workers.embedding import Embedder
from workers.embedding.port import Vectors
from workers.engines import Engine, GenerationRequest, Piece
from workers.engines.wrapping import EngineAround
from workers.tracing import attributes as told
from workers.tracing.content import Content
from workers.vectors import Searcher


def traced_engine(engine: Engine, spans: Spans, content: Content) -> Engine:
    return engine if isinstance(spans, NoSpans) else TracedEngine(engine, spans, content)


def traced_embedder(embedder: Embedder, spans: Spans) -> Embedder:
    return embedder if isinstance(spans, NoSpans) else TracedEmbedder(embedder, spans)


def traced_store(store: Searcher, spans: Spans) -> Searcher:
    return store if isinstance(spans, NoSpans) else TracedStore(store, spans)


class TracedEngine(EngineAround):
    """Each request with its prompt, its output, what the engine counted and when its first token came."""

    def __init__(self, engine: Engine, spans: Spans, content: Content) -> None:
        super().__init__(engine)
        self._spans = spans
        self._content = content

    def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        return self._traced(request) if self._spans.recording else self._engine.stream(request)

    async def _traced(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        about = told.of_request(self.name, request, self._content)
        with self._spans.child(self.name, Kind.LLM, about) as span:
            reply = _Reply(span)
            carried = replace(request, trace_parent=span.trace_parent)
            try:
                async with aclosing(self._engine.stream(carried)) as pieces:
                    async for piece in pieces:
                        reply.note(piece)
                        yield piece
            finally:
                span.note(reply.attributes(self._content))


class _Reply:
    """What came of one request."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._began = time.perf_counter()
        self._first_ms = 0.0
        self._texts: list[str] = []
        self._tokens = 0
        self._usage: Usage | None = None
        self._finish = ""

    def note(self, piece: Piece) -> None:
        if not self._first_ms:
            self._first_ms = (time.perf_counter() - self._began) * 1000
            self._span.mark(told.FIRST_TOKEN)
        self._texts.append(piece.text)
        self._tokens += piece.tokens
        self._usage = piece.usage or self._usage
        self._finish = piece.finish_reason or self._finish

    def attributes(self, content: Content) -> Attributes:
        """An engine that was stopped early has counted nothing; then these are the tokens that came."""
        found: dict[str, Value] = {"llm.finish_reason": self._finish} if self._finish else {}
        if self._first_ms:
            found["askfleet.first_token_ms"] = round(self._first_ms, 2)
        found |= told.of_usage(self._usage) if self._usage else told.of_tokens(self._tokens)
        return found | dict(told.of_reply("".join(self._texts), content))


class TracedEmbedder:
    def __init__(self, embedder: Embedder, spans: Spans) -> None:
        self._embedder = embedder
        self._spans = spans

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    async def embed(self, texts: Sequence[str]) -> Vectors:
        about: Attributes = {"embedding.model_name": self.name, "askfleet.texts": len(texts)}
        with self._spans.child("embedding", Kind.EMBEDDING, about):
            return await self._embedder.embed(texts)

    async def close(self) -> None:
        await self._embedder.close()


class TracedStore:
    """The store of a worker that searches."""

    def __init__(self, store: Searcher, spans: Spans) -> None:
        self._store = store
        self._spans = spans

    async def search(self, tenant: str, text: str, vector: Vectors, *, top_k: int) -> list[Passage]:
        about: Attributes = {
            "tool.name": "hybrid search",
            "db.system.name": "milvus",
            "askfleet.top_k": top_k,
        }
        with self._spans.child("milvus", Kind.TOOL, about) as span:
            passages = await self._store.search(tenant, text, vector, top_k=top_k)
            span.note({"db.response.returned_rows": len(passages)})
            return passages
