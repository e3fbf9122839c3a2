"""The vector store on a real Milvus Lite server."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
from pymilvus import MilvusClient

from contracts.errors import DependencyUnavailable, InvalidDocument, InvalidName, SchemaChanged
from workers.embedding.port import Vectors
from workers.vectors import Chunk, VectorSettings
from workers.vectors.milvus import MilvusStore
from workers.vectors.testing import free_port

DIMENSION = 8


def settings_for(uri: str) -> VectorSettings:
    return VectorSettings(uri=uri, collection=f"t_{uuid.uuid4().hex}", timeout_s=5.0)


@pytest.fixture
async def store(milvus_uri: str) -> AsyncIterator[MilvusStore]:
    opened = MilvusStore(settings_for(milvus_uri), dimension=DIMENSION)
    await opened.ensure_collection()
    yield opened
    await opened.close()


def unit(position: int) -> Vectors:
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[position % DIMENSION] = 1.0
    return vector


def chunk(number: int, text: str, *, document: str = "guide.md") -> Chunk:
    return Chunk(f"{document}#{number}", "The guide", ("Setup", "Disk"), f"docs/{document}", text)


async def put(
    store: MilvusStore, tenant: str, texts: list[str], *, document: str = "guide.md", state: str = "1"
) -> None:
    chunks = [chunk(i, text, document=document) for i, text in enumerate(texts)]
    vectors = np.stack([unit(i) for i in range(len(texts))])
    await store.replace_document(tenant, document, content_hash=state, chunks=chunks, vectors=vectors)


async def test_a_passage_is_found_by_its_words_and_comes_back_whole(store: MilvusStore) -> None:
    await put(store, "acme", ["the pump leaks oil", "the valve is closed"])
    found = await store.search("acme", "valve", unit(7), top_k=1)
    assert [(p.chunk_id, p.document_id, p.title, p.heading_path, p.source, p.text) for p in found] == [
        ("guide.md#1", "guide.md", "The guide", ("Setup", "Disk"), "docs/guide.md", "the valve is closed")
    ]


async def test_a_passage_is_found_by_its_vector_when_no_word_matches(store: MilvusStore) -> None:
    await put(store, "acme", ["alpha", "beta", "gamma"])
    found = await store.search("acme", "zzz", unit(2), top_k=3)
    assert found[0].text == "gamma"
    assert found[0].score > found[-1].score


async def test_a_heading_is_searched_although_it_is_not_in_the_text(store: MilvusStore) -> None:
    await put(store, "acme", ["alpha"])
    assert [p.text for p in await store.search("acme", "setup", unit(5), top_k=5)] == ["alpha"]


async def test_a_tenant_sees_only_its_own_passages_though_ids_are_the_same(store: MilvusStore) -> None:
    await put(store, "acme", ["alpha of acme"])
    await put(store, "globex", ["alpha of globex"])
    for tenant in ("acme", "globex"):
        found = await store.search(tenant, "alpha", unit(0), top_k=10)
        assert [p.text for p in found] == [f"alpha of {tenant}"]
        assert [p.text for p in await store.sample(tenant, limit=10)] == [f"alpha of {tenant}"]
    assert await store.delete_document("acme", "guide.md") == 1
    assert len(await store.search("globex", "alpha", unit(0), top_k=10)) == 1


@pytest.mark.parametrize("tenant", ['x" or tenant != "', "a b", "", "x" * 65, 'acme" or "1" == "1'])
async def test_a_tenant_that_would_change_the_filter_is_refused(store: MilvusStore, tenant: str) -> None:
    with pytest.raises(InvalidName):
        await store.search(tenant, "alpha", unit(0), top_k=5)
    with pytest.raises(InvalidName):
        await store.delete_document(tenant, "guide.md")


@pytest.mark.parametrize(
    "document", ['a" or tenant == "globex', "a\\", 'a\\" or 1 == 1 or "', "Übersicht (neu).md", "a\nb\t'c'"]
)
async def test_a_document_id_is_data_whatever_is_in_it(store: MilvusStore, document: str) -> None:
    await put(store, "acme", ["one"], document=document)
    await put(store, "acme", ["two"], document="other")
    await put(store, "globex", ["three"])
    assert await store.document_hashes("acme", [document]) == {document: "1"}
    assert await store.delete_document("acme", document) == 1
    assert [d.document_id for d in await store.list_documents("acme")] == ["other"]
    assert len(await store.list_documents("globex")) == 1


async def test_replacing_a_document_leaves_only_the_new_chunks(store: MilvusStore) -> None:
    await put(store, "acme", ["alpha", "beta", "gamma"])
    await store.flush()
    await put(store, "acme", ["alpha", "delta"], state="2")
    assert sorted(p.text for p in await store.sample("acme", limit=10)) == ["alpha", "delta"]
    assert await store.search("acme", "gamma", unit(7), top_k=5) != []
    assert "gamma" not in [p.text for p in await store.search("acme", "gamma", unit(2), top_k=5)]
    (document,) = await store.list_documents("acme")
    assert (document.chunks, document.content_hash) == (2, "2")


async def test_a_reader_never_misses_a_document_that_is_being_replaced(store: MilvusStore) -> None:
    await put(store, "acme", ["pump one", "pump two"])
    done = asyncio.Event()
    counts: list[int] = []

    async def read() -> None:
        while not done.is_set():
            counts.append(len(await store.search("acme", "pump", unit(0), top_k=5)))

    reader = asyncio.create_task(read())
    for state in range(2, 8):
        await put(store, "acme", [f"pump one {state}", f"pump two {state}"], state=str(state))
    done.set()
    await reader
    assert counts
    assert min(counts) >= 2


async def test_the_hash_of_a_half_written_document_is_not_given(store: MilvusStore) -> None:
    await put(store, "acme", ["alpha", "beta"])
    assert await store.document_hashes("acme", ["guide.md", "none.md"]) == {"guide.md": "1"}
    client = store._client
    assert client is not None
    await client.delete(store._name, ids=["acme/guide.md#0"])
    assert await store.document_hashes("acme", ["guide.md"]) == {}


async def test_an_empty_document_replaces_the_one_that_was_there(store: MilvusStore) -> None:
    await put(store, "acme", ["alpha"])
    nothing = np.zeros((0, DIMENSION), dtype=np.float32)
    await store.replace_document("acme", "guide.md", content_hash="2", chunks=[], vectors=nothing)
    assert await store.list_documents("acme") == []


async def test_questions_asked_at_once_each_get_their_own_passages(store: MilvusStore) -> None:
    words = [f"word{i}" for i in range(40)]
    await put(store, "acme", words)
    await put(store, "globex", words)
    await store.flush()
    asked = [(tenant, word) for word in words for tenant in ("acme", "globex")]
    found = await asyncio.gather(
        *(store.search(tenant, word, unit(i), top_k=6) for i, (tenant, word) in enumerate(asked))
    )
    assert all(word in [p.text for p in passages] for (_, word), passages in zip(asked, found, strict=True))


async def test_creators_at_once_make_one_collection_that_can_be_searched(milvus_uri: str) -> None:
    settings = settings_for(milvus_uri)
    stores = [MilvusStore(settings, dimension=DIMENSION) for _ in range(4)]
    await asyncio.gather(*(store.ensure_collection() for store in stores))
    await put(stores[0], "acme", ["alpha"])
    for store in stores:
        assert len(await store.search("acme", "alpha", unit(0), top_k=1)) == 1
        await store.close()


async def test_a_collection_of_another_dimension_is_refused_with_the_remedy(
    store: MilvusStore, milvus_uri: str
) -> None:
    settings = VectorSettings(uri=milvus_uri, collection=store._name)
    with pytest.raises(SchemaChanged, match=r"8 numbers.*makes 16.*AF_MILVUS_COLLECTION"):
        await MilvusStore(settings, dimension=16).ensure_collection()


async def test_a_dropped_collection_is_named_with_the_remedy(store: MilvusStore, milvus_uri: str) -> None:
    await put(store, "acme", ["alpha"])
    client = MilvusClient(uri=milvus_uri, dedicated=True)
    client.drop_collection(store._name)
    client.close()
    for call in (
        store.search("acme", "alpha", unit(0), top_k=1),
        store.sample("acme", limit=1),
        store.check(),
    ):
        with pytest.raises(SchemaChanged, match=f"{store._name}.*ingest the documents again"):
            await call
    await store.ensure_collection()
    assert await store.search("acme", "alpha", unit(0), top_k=1) == []


async def test_a_released_collection_is_loaded_again_at_the_next_search(
    store: MilvusStore, milvus_uri: str
) -> None:
    await put(store, "acme", ["alpha"])
    client = MilvusClient(uri=milvus_uri, dedicated=True)
    client.release_collection(store._name)
    client.close()
    assert len(await store.search("acme", "alpha", unit(0), top_k=1)) == 1


async def test_stores_of_one_process_share_no_connection(milvus_uri: str) -> None:
    """What the server does to one, as for pings of an idle client, would end the requests of the others."""
    stores = [MilvusStore(settings_for(milvus_uri), dimension=DIMENSION) for _ in range(3)]
    before = connections(milvus_uri)
    for opened in stores:
        await opened.ensure_collection()
        await opened.document_hashes("acme", ["none"])
    assert connections(milvus_uri) - before == 3
    for opened in stores:
        await opened.close()


def connections(uri: str) -> int:
    """From this process."""
    port = urlsplit(uri).port
    found = psutil.Process().net_connections("tcp")
    return sum(
        bool(each.raddr) and each.raddr.port == port and each.status == "ESTABLISHED" for each in found
    )


async def test_an_unreachable_milvus_is_a_transient_fault_that_names_the_address() -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    store = MilvusStore(VectorSettings(uri=uri, timeout_s=1.0), dimension=DIMENSION)
    with pytest.raises(DependencyUnavailable, match=uri):
        await store.search("acme", "alpha", unit(0), top_k=1)
    with pytest.raises(DependencyUnavailable, match="AF_MILVUS_URI"):
        await store.ensure_collection()
    await store.close()


async def test_a_chunk_that_does_not_fit_is_refused_by_its_size(store: MilvusStore) -> None:
    with pytest.raises(InvalidDocument, match=r"guide\.md.*70000 bytes"):
        await put(store, "acme", ["x" * 70_000])
