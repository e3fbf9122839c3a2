"""The ingest handler with the embedding model and a real Milvus Lite server."""

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from contracts import Passage
from contracts.document import Document, MediaType, Outcome
from contracts.errors import DependencyUnavailable
from workers.embedding import Embedder, EmbedderSettings, Vectors, open_embedder
from workers.ingest.handler import DocumentLocks, handle
from workers.ingest.settings import IngestSettings
from workers.vectors import VectorSettings, VectorStore, open_store

TENANT = "acme"


@dataclass
class Bench:
    """A handler with its parts; counts the texts that are embedded."""

    store: VectorStore
    model: Embedder
    settings: IngestSettings = field(default_factory=IngestSettings)
    locks: DocumentLocks = field(default_factory=DocumentLocks)
    embedded: int = 0

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def dimension(self) -> int:
        return self.model.dimension

    async def embed(self, texts: list[str]) -> Vectors:
        self.embedded += len(texts)
        return await self.model.embed(texts)

    async def close(self) -> None: ...

    async def handle(self, document: Document) -> Outcome:
        return await handle(
            document,
            tenant=TENANT,
            index=self.store,
            embedder=self,
            settings=self.settings,
            locks=self.locks,
        )

    async def find(self, question: str) -> list[Passage]:
        vector = (await self.model.embed([question]))[0]
        return await self.store.search(TENANT, question, vector, top_k=20)

    async def texts(self) -> list[str]:
        return [passage.text for passage in await self.find("pump")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("model")


@pytest.fixture
async def bench(milvus_uri: str, cache: Path) -> AsyncIterator[Bench]:
    model = open_embedder(EmbedderSettings(cache_dir=cache))
    collection = f"t_{uuid.uuid4().hex}"
    store = open_store(VectorSettings(uri=milvus_uri, collection=collection), dimension=model.dimension)
    await store.ensure_collection()
    yield Bench(store, model)
    await store.close()
    await model.close()


def document(
    text: str, *, name: str = "pumps.md", media_type: MediaType = "text/markdown", title: str = ""
) -> Document:
    content = base64.b64encode(text.encode())
    return Document(
        id=name, media_type=media_type, title=title, source=f"https://docs/{name}", content=content
    )


async def test_a_document_is_searchable_with_title_headings_and_source(bench: Bench) -> None:
    outcome = await bench.handle(document("# Pumps\n\n## Oil\n\nA pump needs oil each month.\n"))
    assert (outcome.status, outcome.chunks) == ("indexed", 1)
    (passage,) = await bench.find("How often does it need oil?")
    assert passage.title == "Pumps"
    assert passage.heading_path == ("Oil",)
    assert passage.source == "https://docs/pumps.md"
    assert passage.text == "A pump needs oil each month."


async def test_an_unchanged_document_is_skipped_without_embedding_it(bench: Bench) -> None:
    await bench.handle(document("The pump."))
    embedded = bench.embedded
    outcome = await bench.handle(document("The pump."))
    assert outcome.status == "unchanged"
    assert bench.embedded == embedded


async def test_a_new_title_or_chunk_size_is_a_change(bench: Bench) -> None:
    await bench.handle(document("The pump."))
    assert (await bench.handle(document("The pump.", title="Renamed"))).status == "indexed"
    bench.settings = IngestSettings(chunk_target_tokens=100)
    assert (await bench.handle(document("The pump.", title="Renamed"))).status == "indexed"


async def test_a_changed_document_replaces_what_was_there(bench: Bench) -> None:
    await bench.handle(document("# Pumps\n\nThe pump is red.\n"))
    outcome = await bench.handle(document("# Pumps\n\nThe pump is blue.\n"))
    assert outcome.status == "indexed"
    assert await bench.texts() == ["The pump is blue."]


async def test_a_document_is_never_gone_while_it_is_replaced(bench: Bench) -> None:
    await bench.handle(document("The pump, version 0."))
    replacing = asyncio.create_task(replace_often(bench))
    while not replacing.done():
        assert await bench.texts()
    await replacing
    assert await bench.texts() == ["The pump, version 5."]


async def replace_often(bench: Bench) -> None:
    for version in range(1, 6):
        await bench.handle(document(f"The pump, version {version}."))


async def test_a_deleted_document_is_not_found_and_can_be_deleted_again(bench: Bench) -> None:
    await bench.handle(document("The pump."))
    await bench.handle(document("The other pump.", name="other.md"))
    deletion = Document(id="pumps.md", action="delete")
    assert await bench.handle(deletion) == Outcome(document_id="pumps.md", status="deleted", chunks=1)
    assert await bench.handle(deletion) == Outcome(document_id="pumps.md", status="deleted", chunks=0)
    assert await bench.texts() == ["The other pump."]


@pytest.mark.parametrize(
    ("name", "media_type", "text", "code"),
    [
        ("empty.md", "text/markdown", "", "invalid-document"),
        ("report.pdf", "application/pdf", "no PDF", "invalid-document"),
        ("bell\x07.md", "text/markdown", "Text", "invalid-name"),
    ],
)
async def test_a_document_that_cannot_be_read_is_a_failed_outcome(
    bench: Bench, name: str, media_type: MediaType, text: str, code: str
) -> None:
    outcome = await bench.handle(document(text, name=name, media_type=media_type))
    assert outcome.status == "failed"
    assert outcome.problem is not None
    assert outcome.problem.code == code
    assert outcome.problem.remedy


async def test_a_broken_new_version_leaves_the_old_one_in_place(bench: Bench) -> None:
    await bench.handle(document("The pump."))
    assert (await bench.handle(document("\0\0\0"))).status == "failed"
    assert await bench.texts() == ["The pump."]


async def test_the_same_document_many_times_at_once_is_indexed_once(bench: Bench) -> None:
    outcomes = await asyncio.gather(*(bench.handle(document("The pump.")) for _ in range(8)))
    assert sorted(outcome.status for outcome in outcomes) == ["indexed"] + ["unchanged"] * 7
    assert await bench.texts() == ["The pump."]


async def test_versions_of_one_document_in_one_process_end_with_the_last(bench: Bench) -> None:
    await asyncio.gather(*(bench.handle(document(f"The pump, version {n}.")) for n in range(6)))
    assert await bench.texts() == ["The pump, version 5."]


async def test_a_document_that_another_process_removes_meanwhile_is_to_be_done_again(bench: Bench) -> None:
    rival = Rival(bench)
    with pytest.raises(DependencyUnavailable, match=r"pumps\.md: another worker"):
        await handle(
            document("The pump is red."),
            tenant=TENANT,
            index=rival,
            embedder=bench,
            settings=bench.settings,
            locks=DocumentLocks(),
        )
    assert (await bench.handle(document("The pump is red."))).status == "indexed"
    assert await bench.texts() == ["The pump is red."]


@dataclass
class Rival:
    """The store as it looks when another process writes the document right after us."""

    bench: Bench

    async def replace_document(self, tenant: str, document_id: str, **written: object) -> None:
        await self.bench.store.replace_document(tenant, document_id, **written)  # type: ignore[arg-type]
        await self.bench.handle(document("The pump is blue."))

    async def delete_document(self, tenant: str, document_id: str) -> int:
        return await self.bench.store.delete_document(tenant, document_id)

    async def document_hashes(self, tenant: str, document_ids: list[str]) -> dict[str, str]:
        return await self.bench.store.document_hashes(tenant, document_ids)


async def test_many_documents_at_once_all_become_searchable(bench: Bench) -> None:
    many = [document(f"# Pump {n}\n\nPump number {n} has {n} valves.\n", name=f"{n}.md") for n in range(30)]
    outcomes = await asyncio.gather(*(bench.handle(item) for item in many))
    assert {outcome.status for outcome in outcomes} == {"indexed"}
    assert (await bench.find("Pump number 17"))[0].document_id == "17.md"
    assert np.all([outcome.chunks == 1 for outcome in outcomes])
