"""Trains the router on what is connected and hands the model to the routers that run."""

import asyncio
from collections.abc import Sequence

from bus.connection import connect
from bus.topology import ARTEFACTS_BUCKET
from workers.catalogue.loading import load_schema
from workers.catalogue.vocabulary import Vocabulary
from workers.embedding import EmbedderSettings
from workers.router import store as artefacts
from workers.router.artefact import ArtefactRefused
from workers.router.evidence import Catalogue
from workers.router.settings import RouterSettings
from workers.router.synth import Example
from workers.router.training import Connected, Trained, fingerprint, train
from workers.shell.tenants import Tenants
from workers.vectors import VectorSettings, VectorStore, open_store


async def train_router(
    settings: RouterSettings,
    vectors: VectorSettings,
    *,
    examples: Sequence[Example] = (),
    scale: float = 1.0,
) -> Trained:
    """Questions are made from each tenant's tables and documents; running routers load the model at once.

    Args:
        examples: collected questions with known routes, beside those that are made.
        scale: multiplies the number of questions that are made.
    """
    store = open_store(vectors, dimension=EmbedderSettings().dimension)
    try:
        connected = await read_catalogues(settings, store)
    finally:
        await store.close()
    trained = await asyncio.to_thread(train, examples, connected, scale=scale)
    async with connect(settings, name="askfleet-router-train") as bus:
        await artefacts.put(bus.js, trained.model, bucket=ARTEFACTS_BUCKET)
    return trained


async def is_trained(settings: RouterSettings, vectors: VectorSettings) -> bool:
    """Whether the model in the object store was made for the tables and documents as they are."""
    store = open_store(vectors, dimension=EmbedderSettings().dimension)
    try:
        connected = await read_catalogues(settings, store)
    finally:
        await store.close()
    async with connect(settings, name="askfleet-router-train") as bus:
        try:
            model = await artefacts.latest(bus.js, bucket=ARTEFACTS_BUCKET)
        except ArtefactRefused:
            return False
    return model is not None and model.fingerprint == fingerprint(connected)


async def read_catalogues(settings: RouterSettings, store: VectorStore) -> list[Connected]:
    """Schema and a sample of the documents of each tenant; raises DependencyUnavailable."""
    await store.ensure_collection()
    tenants = Tenants.load(settings.tenants_file)
    found = []
    for tenant in tenants.tenants:
        schema = await load_schema(tenants.dsn(tenant, settings.dsn), edited=settings.semantic_model)
        sample = await store.sample(tenant, limit=settings.catalogue_passages)
        # The store gives them in no particular order; training must not depend on it.
        passages = tuple(sorted(sample, key=lambda passage: passage.chunk_id))
        documents = await asyncio.to_thread(Vocabulary, passages) if passages else None
        found.append(Connected(tenant, Catalogue(schema=schema, documents=documents), passages))
    return found
