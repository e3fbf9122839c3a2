"""The AsyncAPI document of all subjects, made by FastStream from the topology.

The broker here only describes; it never connects. Subscribers are what workers read, publishers what they and
other services write.
"""

import json
from collections.abc import Callable
from typing import Any

from faststream.nats import JStream, NatsBroker
from faststream.specification import AsyncAPI
from pydantic import BaseModel

from bus import subjects, topology
from contracts import Cancel, Document, Event, EvidenceJob, Feedback, GenerateJob, Outcome, Query

WORK: tuple[tuple[topology.Stream, type[BaseModel], str], ...] = (
    (topology.ROUTE, Query, "The public door: any service publishes a question here."),
    (topology.RETRIEVE, EvidenceJob, "Search the documents for a question."),
    (topology.SQL, EvidenceJob, "Ask the SQL database for a question."),
    (topology.GENERATE, GenerateJob, "Write the answer from the evidence on the log."),
    (topology.INGEST, Document, "Index or remove a document; any service publishes here."),
)
PUBLISHED: tuple[tuple[str, Any, str], ...] = (
    (subjects.ANSWER, Event, "The answer log: every event of a query, in order."),
    (subjects.LIVE, Event, "Each event again, once it is stored: subscribe here to read an answer."),
    (subjects.OUTCOME, Outcome, "What became of a document."),
    (subjects.FEEDBACK, Feedback, "What a reader thinks of an answer; the last word on each is kept."),
    (subjects.CANCEL, Cancel, "Stops the work on a query."),
    (subjects.DEAD, bytes, "What was given up, as it came; the reason is in the headers."),
)


def asyncapi_document() -> dict[str, Any]:
    broker = NatsBroker("nats://nats:4222", logger=None)
    for stream, kind, description in WORK:
        handler = _reader(kind, stream.consumers[0].durable)
        consumer = stream.consumers[0]
        broker.subscriber(
            stream.subject,
            stream=JStream(stream.name, declare=False),
            durable=consumer.durable,
            pull_sub=True,
            title=stream.name,
            description=description,
        )(handler)
    for subject, kind, description in PUBLISHED:
        broker.publisher(subject, title=subject, description=description, schema=kind)
    specification = AsyncAPI(
        broker, title="askfleet", version="1", description="Questions in, answers out, over NATS."
    )
    document: dict[str, Any] = json.loads(specification.to_specification().to_json())
    return document


def _reader(kind: type[BaseModel], name: str) -> Callable[[BaseModel], None]:
    def read(body: BaseModel) -> None:
        """Described only."""

    read.__annotations__ = {"body": kind, "return": None}
    read.__name__ = name
    return read
