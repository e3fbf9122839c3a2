"""Documents whose file is gone, on a real Milvus Lite server: kept and counted, or deleted."""

import asyncio
import uuid
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from askfleet.folder import Folder
from askfleet.ingest import Summary
from askfleet.missing import Consent, delete_directly, settle_missing
from contracts.document import Document
from contracts.errors import DependencyUnavailable, Misconfigured
from workers.embedding import EmbedderSettings, open_embedder
from workers.ingest.handler import DocumentLocks, handle
from workers.ingest.settings import IngestSettings
from workers.vectors import VectorSettings, open_store

TENANT = "acme"


@pytest.fixture
def uri(milvus_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two pages were indexed for the tenant and one for another; then one of each is gone."""
    monkeypatch.setenv("AF_MILVUS_COLLECTION", f"t_{uuid.uuid4().hex}")
    for name in ("kept.md", "gone.md"):
        (tmp_path / name).write_text(f"# Page\n\nThis is {name}.\n")
    asyncio.run(index(milvus_uri, Folder(tmp_path)))
    (tmp_path / "gone.md").unlink()
    return milvus_uri


async def index(uri: str, folder: Folder) -> None:
    embedder = open_embedder(EmbedderSettings())
    store = open_store(VectorSettings(uri=uri), dimension=embedder.dimension)
    await store.ensure_collection()
    locks, settings = DocumentLocks(), IngestSettings()
    for document in folder.documents():
        assert isinstance(document, Document)
        for tenant in (TENANT, "other"):
            await handle(
                document, tenant=tenant, index=store, embedder=embedder, settings=settings, locks=locks
            )
    await store.close()
    await embedder.close()


ASK, AGREED = Consent(), Consent(given=True)


def settle(folder: Path, uri: str, console: Console, *, delete: bool, consent: Consent = ASK) -> Summary:
    read = Folder(folder)
    list(read.documents())
    way = partial(_delete, uri=uri) if delete else None
    return settle_missing(read, TENANT, console, milvus_uri=uri, consent=consent, delete=way)


def _delete(documents: list[Document], *, uri: str) -> Summary:
    return asyncio.run(delete_directly(documents, TENANT, milvus_uri=uri))


def indexed(uri: str, tenant: str) -> list[str]:
    async def ids() -> list[str]:
        store = open_store(VectorSettings(uri=uri), dimension=384)
        try:
            return [document.document_id for document in await store.list_documents(tenant)]
        finally:
            await store.close()

    return asyncio.run(ids())


def test_without_the_option_they_stay_and_are_counted(uri: str, tmp_path: Path) -> None:
    console = Console(record=True, quiet=False, width=200)
    assert settle(tmp_path, uri, console, delete=False).deleted == 0
    said = console.export_text()
    assert "1 document(s) of acme are in the index and not in" in said
    assert "--delete-missing" in said
    assert indexed(uri, TENANT) == ["gone.md", "kept.md"]


def test_with_it_they_are_deleted_for_this_tenant_alone_once_one_agrees(uri: str, tmp_path: Path) -> None:
    console = Console(record=True, width=200)
    with pytest.raises(Misconfigured, match="no terminal"):
        settle(tmp_path, uri, console, delete=True)
    assert indexed(uri, TENANT) == ["gone.md", "kept.md"]
    assert settle(tmp_path, uri, console, delete=True, consent=AGREED).deleted == 1
    assert "gone.md" in console.export_text()
    assert indexed(uri, TENANT) == ["kept.md"]
    assert indexed(uri, "other") == ["gone.md", "kept.md"]


def test_an_empty_folder_deletes_nothing(uri: str, tmp_path: Path) -> None:
    (tmp_path / "kept.md").unlink()
    with pytest.raises(Misconfigured, match="holds no document"):
        settle(tmp_path, uri, Console(quiet=True), delete=True, consent=AGREED)
    assert indexed(uri, TENANT) == ["gone.md", "kept.md"]


def test_a_wrong_folder_deletes_nothing_unless_that_was_said(uri: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "new.md").write_text("A page that was never indexed.\n")
    with pytest.raises(Misconfigured, match="More would be deleted than stays, 2 and 1"):
        settle(other, uri, Console(quiet=True), delete=True, consent=AGREED)
    assert indexed(uri, TENANT) == ["gone.md", "kept.md"]
    meant = Consent(given=True, to_most=True)
    assert settle(other, uri, Console(quiet=True), delete=True, consent=meant).deleted == 2
    assert indexed(uri, TENANT) == []


def test_without_milvus_only_a_deletion_fails(uri: str, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    console = Console(record=True, width=200)
    assert settle(tmp_path, nowhere, console, delete=False).exit_code == 0
    assert "Not looked for documents whose file is gone" in console.export_text()
    with pytest.raises(DependencyUnavailable):
        settle(tmp_path, nowhere, console, delete=True, consent=AGREED)
