"""What each tenant has connected, read again now and then and soon after documents changed."""

import asyncio

import structlog
from nats.aio.msg import Msg

from bus import subjects
from contracts.errors import AskfleetError
from workers.catalogue.linking import SchemaIndex
from workers.catalogue.loading import load_schema
from workers.catalogue.vocabulary import Vocabulary
from workers.router.evidence import Catalogue
from workers.router.settings import RouterSettings
from workers.shell.tenants import Tenants
from workers.vectors import VectorStore

log = structlog.get_logger(__name__)

SETTLE_S = 2.0
"""Documents arrive in runs: wait so long after the first news before the sample is read again."""


class LiveCatalogues:
    """Keeps the last catalogue of each tenant; a source that is away leaves what was read before."""

    def __init__(self, settings: RouterSettings, tenants: Tenants, store: VectorStore) -> None:
        self._settings = settings
        self._tenants = tenants
        self._store = store
        self._schemas: dict[str, SchemaIndex] = {}
        self._documents: dict[str, Vocabulary] = {}
        self._changed: set[str] = set()
        self._news = asyncio.Event()

    def of(self, tenant: str) -> Catalogue:
        return Catalogue(schema=self._schemas.get(tenant), documents=self._documents.get(tenant))

    async def refresh(self) -> None:
        """Read the schemas and the samples of all tenants."""
        schemas: dict[str, SchemaIndex] = {}
        for tenant in self._tenants.tenants:
            dsn = self._tenants.dsn(tenant, self._settings.dsn)
            if dsn not in schemas:
                await self._read_schema(tenant, dsn, schemas)
            if dsn in schemas:
                self._schemas[tenant] = schemas[dsn]
            await self._read_documents(tenant)

    async def refresh_forever(self) -> None:
        """Everything each `catalogue_refresh_s`; a tenant's documents soon after one of them changed."""
        while True:
            try:
                async with asyncio.timeout(self._settings.catalogue_refresh_s):
                    await self._refresh_changed()
            except TimeoutError:
                await self.refresh()

    async def note_outcome(self, message: Msg) -> None:
        """A document of this tenant was indexed or removed."""
        self._changed.add(subjects.tenant_of(message.subject))
        self._news.set()

    async def _refresh_changed(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(SETTLE_S)
            changed, self._changed = self._changed, set()
            self._news.clear()
            for tenant in changed:
                await self._read_documents(tenant)

    async def _read_schema(self, tenant: str, dsn: str, into: dict[str, SchemaIndex]) -> None:
        try:
            into[dsn] = await load_schema(dsn, edited=self._settings.semantic_model)
        except AskfleetError as error:
            log.warning(
                "routing goes on with the schema read before",
                action="schema_failed",
                tenant=tenant,
                error=str(error),
            )

    async def _read_documents(self, tenant: str) -> None:
        try:
            passages = await self._store.sample(tenant, limit=self._settings.catalogue_passages)
        except AskfleetError as error:
            log.warning(
                "routing goes on with the documents read before",
                action="sample_failed",
                tenant=tenant,
                error=str(error),
            )
            return
        if passages:
            self._documents[tenant] = await asyncio.to_thread(Vocabulary, passages)
        else:
            self._documents.pop(tenant, None)
