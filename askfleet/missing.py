"""Documents that are in the index and no longer in the folder they came from."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console

from askfleet.confirmation import confirm
from askfleet.folder import Folder
from askfleet.ingest import Summary
from contracts.document import Document
from contracts.errors import AskfleetError, Misconfigured
from workers.embedding import EmbedderSettings, open_embedder
from workers.vectors import IndexedDocument, VectorSettings, VectorStore, open_store

Delete = Callable[[Sequence[Document]], Summary]


@dataclass(frozen=True)
class Consent:
    """`given`: nobody is asked; `to_most`: nor where more would be deleted than stays."""

    given: bool = False
    to_most: bool = False


_SHOWN = 5


def settle_missing(
    folder: Folder, tenant: str, console: Console, *, milvus_uri: str, consent: Consent, delete: Delete | None
) -> Summary:
    """Say how many are gone; with `delete`, ask and delete them. Call it after a run over the whole folder.

    Raises:
        Misconfigured: the folder holds no document at all, or there is nobody to ask; or more would be
            deleted than stays, as from another folder or one that is not mounted whole, and nobody is asked.
        DependencyUnavailable: Milvus does not answer, where something is to be deleted.
    """
    try:
        gone = folder.removed(asyncio.run(_indexed(tenant, milvus_uri)))
    except AskfleetError as error:
        if delete is not None:
            raise
        console.print(f"Not looked for documents whose file is gone: {error}")
        return Summary()
    if not gone:
        return Summary()
    said = f"{len(gone):,} document(s) of {tenant} are in the index and not in {folder.root}"
    if delete is None:
        console.print(f"{said}: they stay. --delete-missing deletes them.")
        return Summary()
    if not folder.present:
        raise Misconfigured(
            f"{folder.root} holds no document: nothing is deleted.", remedy="Check that it is mounted."
        )
    console.print(f"{said}: {', '.join(item.id for item in gone[:_SHOWN])}{', ...' * (len(gone) > _SHOWN)}")
    if consent.given and not consent.to_most and len(gone) > folder.present:
        raise Misconfigured(
            f"More would be deleted than stays, {len(gone):,} and {folder.present:,}: nothing is deleted.",
            remedy="Check that it is the whole folder, and that no other has the same --address. If all is "
            "right, leave out --yes to be asked, or add --delete-most.",
        )
    asked = f"Delete {len(gone):,} document(s) from the index? {folder.present:,} of the folder stay."
    confirm(asked, yes=consent.given)
    return delete(gone)


async def _indexed(tenant: str, milvus_uri: str) -> list[IndexedDocument]:
    store = await _store(milvus_uri)
    try:
        return await store.list_documents(tenant)
    finally:
        await store.close()


async def delete_directly(documents: Sequence[Document], tenant: str, *, milvus_uri: str) -> Summary:
    """As the ingest worker does, past its queue."""
    store = await _store(milvus_uri)
    try:
        for document in documents:
            await store.delete_document(tenant, document.id)
        await store.flush()
    finally:
        await store.close()
    return Summary(deleted=len(documents))


async def _store(milvus_uri: str) -> VectorStore:
    embedder = open_embedder(EmbedderSettings())
    await embedder.close()
    settings = VectorSettings().model_copy(update={"uri": milvus_uri})
    return open_store(settings, dimension=embedder.dimension)
