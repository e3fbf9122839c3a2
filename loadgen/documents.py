"""Documents that are published while faults are made, and whether each was indexed in the end."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import structlog

from bus.connection import Bus
from bus.documents import outcomes, publish_document
from contracts import Document, Outcome
from contracts.errors import AskfleetError
from loadgen import corpus

log = structlog.get_logger(__name__)

SECTIONS = 5
ANSWERED_WITHIN_S = 60.0


class Trickle:
    """Publishes one document after the other; `missing` afterwards tells which were accepted and lost."""

    def __init__(self, bus: Bus, tenant: str, *, every_s: float) -> None:
        self._bus = bus
        self._tenant = tenant
        self._every_s = every_s
        self._run = secrets.token_hex(4)
        self._content = corpus.make(SECTIONS).documents[0]
        self.accepted: list[Document] = []

    async def publish_forever(self) -> None:
        number = 0
        while True:
            document = self._content.model_copy(update={"id": f"trial/{self._run}/{number}.md"})
            try:
                await publish_document(self._bus, self._tenant, document)
            except AskfleetError as error:
                log.info("a document was not accepted", action="not_accepted", error=str(error))
            else:
                self.accepted.append(document)
                number += 1
            await asyncio.sleep(self._every_s)

    async def missing(self) -> list[str]:
        """Publish each once more: one that stands in the index is reported as unchanged.

        Raises:
            TimeoutError: the ingest workers reported too little.
        """
        async with outcomes(self._bus, self._tenant) as reported:
            for document in self.accepted:
                await publish_document(self._bus, self._tenant, document)
            async with asyncio.timeout(ANSWERED_WITHIN_S):
                found = await self._reported(reported)
        return sorted(document_id for document_id, status in found.items() if status != "unchanged")

    async def _reported(self, reported: AsyncIterator[Outcome]) -> dict[str, str]:
        expected = {document.id for document in self.accepted}
        found: dict[str, str] = {}
        while expected - found.keys():
            outcome = await anext(reported)
            if outcome.document_id in expected:
                found.setdefault(outcome.document_id, outcome.status)
        return found
