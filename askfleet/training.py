"""Trains the router on what is connected and hands the model to the routers that run."""

import asyncio
from collections.abc import Sequence

from askfleet.shadowing import follow
from bus.connection import Bus, connect
from bus.feedback import read_labels
from bus.topology import ARTEFACTS_BUCKET
from workers.catalogue.loading import load_schema
from workers.catalogue.vocabulary import Vocabulary
from workers.embedding import EmbedderSettings
from workers.router import store as artefacts
from workers.router.artefact import ArtefactRefused
from workers.router.decision import Router
from workers.router.evidence import Catalogue
from workers.router.model import RouterModel
from workers.router.settings import RouterSettings
from workers.router.shadow import Comparison
from workers.router.synth import Example
from workers.router.training import Connected, Trained, fingerprint, made_from, train
from workers.shell.tenants import Tenants
from workers.vectors import VectorSettings, VectorStore, open_store


async def train_router(
    settings: RouterSettings,
    vectors: VectorSettings,
    *,
    examples: Sequence[Example] = (),
    scale: float = 1.0,
    feedback_since_ms: int | None = None,
    publishes: bool = True,
) -> Trained:
    """Questions are made from each tenant's tables and documents; running routers load the model at once.

    Args:
        examples: collected questions with known routes, beside those that are made.
        scale: multiplies the number of questions that are made.
        feedback_since_ms: learn from feedback given since, epoch milliseconds; None: from none.
        publishes: hand the model to the routers.
    """
    connected = await _connected(settings, vectors)
    async with connect(settings, name="askfleet-router-train") as bus:
        told = await feedback_examples(bus, feedback_since_ms) if feedback_since_ms is not None else []
        trained = await asyncio.to_thread(train, [*examples, *told], connected, scale=scale)
        if publishes:
            await artefacts.put(bus.js, trained.model, bucket=ARTEFACTS_BUCKET)
    return trained


async def feedback_examples(bus: Bus, since_ms: int = 0) -> list[Example]:
    """Questions whose route readers named or approved of.

    One that a reader named stands for itself twice, since it corrects a decision; the same question is one
    group, so that it is never measured by itself.
    """
    found = []
    async for told in read_labels(bus, since_ms=since_ms):
        example = Example(told.question, told.route, "feedback", f"feedback/{told.question.casefold()}")
        found += [example] * (2 if told.certain else 1)
    return found


async def made_questions(
    settings: RouterSettings, vectors: VectorSettings, *, count: int, seed: int
) -> list[Example]:
    """What training would make: of each tenant's tables and documents, and general ones."""
    connected = await _connected(settings, vectors)
    return await asyncio.to_thread(made_from, connected, count=count, seed=seed)


async def shadow_router(
    settings: RouterSettings,
    vectors: VectorSettings,
    model: RouterModel,
    *,
    seconds: float,
    questions: int,
) -> Comparison:
    """Follow the questions with a model beside the routers that run; see `shadowing.follow`."""
    catalogues = {tenant.name: tenant.catalogue for tenant in await _connected(settings, vectors)}
    router = Router(model, threshold=settings.router_threshold)
    async with connect(settings, name="askfleet-router-shadow") as bus:
        return await follow(
            bus,
            router,
            lambda tenant: catalogues.get(tenant, Catalogue()),
            seconds=seconds,
            questions=questions,
        )


async def _connected(settings: RouterSettings, vectors: VectorSettings) -> list[Connected]:
    store = open_store(vectors, dimension=EmbedderSettings().dimension)
    try:
        return await read_catalogues(settings, store)
    finally:
        await store.close()


async def is_trained(settings: RouterSettings, vectors: VectorSettings) -> bool:
    """Whether the model in the object store was made for the tables and documents as they are."""
    connected = await _connected(settings, vectors)
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
