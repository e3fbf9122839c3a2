"""Documents made from a seed: sections of one passage each, and a question for each section."""

import asyncio
import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict

from bus.connection import connect
from bus.documents import outcomes, publish_document
from bus.settings import BusSettings
from contracts import Document
from contracts.errors import DependencyUnavailable

SEED = 7
MACHINES = ("pump", "compressor", "turbine", "valve", "conveyor", "furnace", "centrifuge", "crane")
SITES = ("Arnstadt", "Bergen", "Cadiz", "Delft", "Espoo", "Fulda", "Graz", "Halden", "Izmir", "Jena")


SECTIONS_A_DOCUMENT = 25
INGEST_WITHIN_S = 300.0


class Subject(BaseModel):
    """What a section can be about; `{name}` is the machine, `{n}` a number of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    text: str


class _Subjects(BaseModel):
    subjects: tuple[Subject, ...]


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
    subjects = _subjects()
    made = [_section(chance, number, subjects[number % len(subjects)]) for number in range(passages)]
    sections, questions = zip(*made, strict=True)
    documents = [
        _document(begin, sections[begin : begin + SECTIONS_A_DOCUMENT])
        for begin in range(0, passages, SECTIONS_A_DOCUMENT)
    ]
    return Corpus(documents, questions)


def _subjects() -> tuple[Subject, ...]:
    text = files("loadgen").joinpath("subjects.yaml").read_text(encoding="utf-8")
    return _Subjects.model_validate(yaml.safe_load(text)).subjects


def _section(chance: random.Random, number: int, subject: Subject) -> tuple[str, str]:
    site = chance.choice(SITES)
    name = f"{chance.choice(MACHINES)} {site[0]}{number}"
    text = subject.text.format(name=name, n=chance.randrange(2, 900))
    body = f"## The {name} in {site}\n\n{text} This holds for the {name} in hall {chance.randrange(1, 40)}.\n"
    return body, subject.question.format(name=name)


def _document(begin: int, sections: Sequence[str]) -> Document:
    title = f"Data sheets {begin} to {begin + len(sections) - 1}"
    content = "\n".join((f"# {title}\n", *sections))
    return Document(id=f"machines/{begin}.md", title=title, content=base64.b64encode(content.encode()))


async def ingest(corpus: Corpus, settings: BusSettings, *, tenant: str) -> float:
    """Publish all documents and wait until each is indexed; seconds that it took.

    Raises:
        DependencyUnavailable: a document failed, or was cut into other passages than were written.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with (
        connect(settings, name="bench") as bus,
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
    # None is cut again of documents that stand there already.
    if sum(chunks.values()) not in (0, corpus.passages):
        raise DependencyUnavailable(f"{corpus.passages} passages became {sum(chunks.values())} chunks.")
    return loop.time() - began
