"""Streams and consumers as data: what `provision` applies and what the manifests are checked against."""

from dataclasses import dataclass, field

from bus import subjects

DAY_S = 86_400.0
MIB = 1024 * 1024


@dataclass(frozen=True)
class Consumer:
    """A durable pull consumer with explicit acks."""

    durable: str
    filter_subject: str
    max_ack_pending: int = 20_000


@dataclass(frozen=True)
class Stream:
    """`work` streams hold a message until it is acked and refuse a publish when full."""

    name: str
    subject: str
    work: bool = True
    max_msgs: int = 100_000
    max_bytes: int = 1024 * MIB
    max_age_s: float = 0.0
    duplicate_window_s: float = 120.0
    republish_to: str = ""
    consumers: tuple[Consumer, ...] = field(default=())

    @property
    def stage(self) -> str:
        """What people call its work: the first word of its durables, as in `generation-default`."""
        return self.consumers[0].durable.split("-")[0] if self.consumers else ""


def generation_durable(model: str) -> str:
    return f"generation-{subjects.token('model', model)}"


def generation_consumer(model: str) -> Consumer:
    return Consumer(generation_durable(model), subjects.generate_model(model))


ROUTE = Stream("ROUTE", subjects.QUERY, consumers=(Consumer("router", subjects.QUERY),))
RETRIEVE = Stream("RETRIEVE", subjects.RETRIEVE, consumers=(Consumer("retrieval", subjects.RETRIEVE),))
SQL = Stream("SQL", subjects.SQL, consumers=(Consumer("sql", subjects.SQL),))
GENERATE = Stream("GENERATE", subjects.GENERATE, consumers=(generation_consumer("default"),))
INGEST = Stream(
    "INGEST", subjects.INGEST, max_bytes=4096 * MIB, consumers=(Consumer("ingest", subjects.INGEST),)
)
ANSWERS = Stream(
    "ANSWERS",
    subjects.ANSWER,
    work=False,
    max_msgs=-1,
    max_bytes=8192 * MIB,
    max_age_s=15 * 60.0,
    republish_to="af.live.{{wildcard(1)}}.{{wildcard(2)}}",
)
DLQ = Stream("DLQ", subjects.DEAD, work=False, max_msgs=1_000_000, max_age_s=14 * DAY_S)

STREAMS: tuple[Stream, ...] = (ROUTE, RETRIEVE, SQL, GENERATE, INGEST, ANSWERS, DLQ)

STAGES: dict[str, Stream] = {stream.stage: stream for stream in STREAMS if stream.work}
"""In the order in which a query passes them; documents last."""

ARTEFACTS_BUCKET = "af-artefacts"
MAX_PAYLOAD_BYTES = 8 * MIB
