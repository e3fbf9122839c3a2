"""Streams and consumers as data: what `provision` applies and what the manifests are checked against."""

from dataclasses import dataclass, field

from bus import subjects
from bus.subjects import Lane

DAY_S = 86_400.0
MIB = 1024 * 1024
FEEDBACK_AGE_S = 30 * DAY_S
ANSWER_AGE_S = 15 * 60.0
"""How long an answer is kept, and so how long a question asked again finds the one before."""


GROUP = "fleet"
"""Of consumers that workers of several clusters pull from. Workers always name it; others ignore it."""


@dataclass(frozen=True)
class Consumer:
    """A durable pull consumer with explicit acks."""

    durable: str
    filter_subject: str
    max_ack_pending: int = 20_000
    lane: Lane = Lane.FRESH


@dataclass(frozen=True)
class Stream:
    """`work` streams hold a message until it is acked and refuse a publish when full.

    `bulk_subject` is the lane of tenants that have much work waiting; empty where there is one lane only.
    """

    name: str
    subject: str
    bulk_subject: str = ""
    work: bool = True
    max_msgs: int = 100_000
    max_bytes: int = 1024 * MIB
    max_age_s: float = 0.0
    max_msgs_per_subject: int = -1
    duplicate_window_s: float = 120.0
    republish_to: str = ""
    consumers: tuple[Consumer, ...] = field(default=())

    @property
    def subjects(self) -> tuple[str, ...]:
        return (self.subject, self.bulk_subject) if self.bulk_subject else (self.subject,)

    @property
    def stage(self) -> str:
        """What people call its work: the first word of its durables, as in `generation-default`."""
        return self.consumers[0].durable.split("-")[0] if self.consumers else ""


def bulk(durable: str) -> str:
    """The consumer beside `durable` that reads the bulk lane."""
    return f"{durable}-bulk"


def generation_durable(model: str) -> str:
    return f"generation-{subjects.token('model', model)}"


def generation_consumers(model: str) -> tuple[Consumer, ...]:
    fresh, slow = (subjects.generate_model(model, lane) for lane in Lane)
    return _lanes(generation_durable(model), fresh, slow)


def _lanes(durable: str, fresh: str, slow: str) -> tuple[Consumer, ...]:
    return Consumer(durable, fresh), Consumer(bulk(durable), slow, lane=Lane.BULK)


ROUTE = Stream(
    "ROUTE",
    subjects.QUERY,
    subjects.BULK_QUERY,
    duplicate_window_s=ANSWER_AGE_S,
    consumers=_lanes("router", subjects.QUERY, subjects.BULK_QUERY),
)
RETRIEVE = Stream(
    "RETRIEVE",
    subjects.RETRIEVE,
    subjects.BULK_RETRIEVE,
    consumers=_lanes("retrieval", subjects.RETRIEVE, subjects.BULK_RETRIEVE),
)
SQL = Stream("SQL", subjects.SQL, subjects.BULK_SQL, consumers=_lanes("sql", subjects.SQL, subjects.BULK_SQL))
GENERATE = Stream(
    "GENERATE", subjects.GENERATE, subjects.BULK_GENERATE, consumers=generation_consumers("default")
)
INGEST = Stream(
    "INGEST", subjects.INGEST, max_bytes=4096 * MIB, consumers=(Consumer("ingest", subjects.INGEST),)
)
ANSWERS = Stream(
    "ANSWERS",
    subjects.ANSWER,
    work=False,
    max_msgs=-1,
    max_bytes=8192 * MIB,
    max_age_s=ANSWER_AGE_S,
    republish_to="af.live.{{wildcard(1)}}.{{wildcard(2)}}",
)
DLQ = Stream("DLQ", subjects.DEAD, work=False, max_msgs=1_000_000, max_age_s=14 * DAY_S)
FEEDBACK = Stream(
    "FEEDBACK",
    subjects.FEEDBACK,
    work=False,
    max_msgs=1_000_000,
    max_bytes=512 * MIB,
    max_msgs_per_subject=1,
    max_age_s=FEEDBACK_AGE_S,
)
HANDED_BACK = Stream(
    "HANDED_BACK",
    subjects.HANDED_BACK,
    work=False,
    max_msgs=1_000_000,
    max_msgs_per_subject=1,
    max_age_s=3600.0,
)

STREAMS: tuple[Stream, ...] = (ROUTE, RETRIEVE, SQL, GENERATE, INGEST, ANSWERS, DLQ, HANDED_BACK, FEEDBACK)
FAIR_STREAMS: tuple[Stream, ...] = tuple(stream for stream in STREAMS if stream.bulk_subject)
"""Those whose two lanes keep tenants apart."""

STAGES: dict[str, Stream] = {stream.stage: stream for stream in STREAMS if stream.work}
"""In the order in which a query passes them; documents last."""

ARTEFACTS_BUCKET = "af-artefacts"
MAX_PAYLOAD_BYTES = 8 * MIB
