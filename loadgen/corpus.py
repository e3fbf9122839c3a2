"""Documents made from a seed: sections of one passage each, and a question for each section."""

import asyncio
import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass

from bus.connection import connect
from bus.documents import outcomes, publish_document
from bus.settings import BusSettings
from contracts import Document
from contracts.errors import DependencyUnavailable

SEED = 7
MACHINES = ("pump", "compressor", "turbine", "valve", "conveyor", "furnace", "centrifuge", "crane")
SITES = ("Arnstadt", "Bergen", "Cadiz", "Delft", "Espoo", "Fulda", "Graz", "Halden", "Izmir", "Jena")
DUTIES = ("cooling water", "raw brine", "hot ash", "grain", "crude oil", "molten salt", "sewage", "steam")
SECTIONS_A_DOCUMENT = 25
INGEST_WITHIN_S = 300.0


@dataclass(frozen=True)
class Corpus:
    """`passages` is how many pieces the documents hold; there is a question for each."""

    documents: Sequence[Document]
    questions: Sequence[str]

    @property
    def passages(self) -> int:
        return len(self.questions)


def make(passages: int) -> Corpus:
    chance = random.Random(SEED)  # noqa: S311 (not for secrets)
    sections, questions = zip(*(_section(chance, number) for number in range(passages)), strict=True)
    documents = [
        _document(begin, sections[begin : begin + SECTIONS_A_DOCUMENT])
        for begin in range(0, passages, SECTIONS_A_DOCUMENT)
    ]
    return Corpus(documents, questions)


def _section(chance: random.Random, number: int) -> tuple[str, str]:
    machine, site, duty = chance.choice(MACHINES), chance.choice(SITES), chance.choice(DUTIES)
    name = f"{machine} {site[0]}{number}"
    text = (
        f"## The {name}\n\nIt stands in hall {chance.randrange(1, 40)} of the plant in {site} and moves "
        f"{duty}. "
        f"The rated pressure of the {name} is {chance.randrange(2, 90)} bar, its speed "
        f"{chance.randrange(300, 3000)} turns a minute. Maintenance is due every {chance.randrange(2, 30)} "
        f"weeks; the bearings are greased with type {chance.randrange(100, 999)} and the seals are replaced "
        f"after {chance.randrange(1000, 9000)} hours. When the temperature of the housing rises above "
        f"{chance.randrange(50, 120)} degrees, the operator reduces the load and calls the shift engineer. "
        f"Spare parts are kept on shelf {chance.randrange(1, 400)} of the store in {site}.\n"
    )
    return text, f"What is the rated pressure of the {name} in {site}?"


def _document(begin: int, sections: Sequence[str]) -> Document:
    title = f"Data sheets {begin} to {begin + len(sections) - 1}"
    content = "\n".join((f"# {title}\n", *sections))
    return Document(id=f"machines/{begin}.md", title=title, content=base64.b64encode(content.encode()))


async def ingest(corpus: Corpus, *, nats_url: str, tenant: str) -> float:
    """Publish all documents and wait until each is indexed; seconds that it took.

    Raises:
        DependencyUnavailable: a document failed, or was cut into other passages than were written.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with (
        connect(BusSettings(nats_url=nats_url), name="bench") as bus,
        outcomes(bus, tenant) as reported,
    ):
        await asyncio.gather(*(publish_document(bus, tenant, document) for document in corpus.documents))
        chunks: dict[str, int] = {}
        async with asyncio.timeout(INGEST_WITHIN_S):
            while len(chunks) < len(corpus.documents):
                outcome = await anext(reported)
                if outcome.problem is not None:
                    raise DependencyUnavailable(f"{outcome.document_id} failed: {outcome.problem.detail}")
                chunks[outcome.document_id] = outcome.chunks
    if sum(chunks.values()) != corpus.passages:
        raise DependencyUnavailable(f"{corpus.passages} passages became {sum(chunks.values())} chunks.")
    return loop.time() - began
