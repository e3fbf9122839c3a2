"""The grammar of subjects: the only place that builds or reads one.

A tenant, id or model is one token out of letters, digits, `-` and `_`. Anything else is refused, not escaped:
an escaped name would be another name on the next hop.
"""

import enum
import re
from typing import NamedTuple

from contracts import queue_of
from contracts.errors import InvalidName

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")

QUERY = "af.query.*"
RETRIEVE = "af.work.retrieve.*"
SQL = "af.work.sql.*"
GENERATE = "af.work.generate.*.*"
BULK_QUERY = "af.bulk.query.*"
BULK_RETRIEVE = "af.bulk.retrieve.*"
BULK_SQL = "af.bulk.sql.*"
BULK_GENERATE = "af.bulk.generate.*.*"
INGEST = "af.ingest.*"
ANSWER = "af.answer.*.*"
LIVE = "af.live.*.*"
DEAD = "af.dlq.*.*"
CANCEL = "af.cancel.*.*"
READERS = "af.readers.*.*"
OUTCOME = "af.outcome.*"
FEEDBACK = "af.feedback.*.*"
GIVEN_UP = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES"
WORKERS_PING = "af.workers.ping"
SCALING = "af.scaling.ask"
HANDED_BACK = "af.handed-back.*.*.*"


class Lane(enum.StrEnum):
    """Workers take `FRESH` work first; `BULK` is where the work of a tenant waits that has much of it."""

    FRESH = "fresh"
    BULK = "bulk"


class AnswerKey(NamedTuple):
    tenant: str
    query_id: str


def token(kind: str, value: str) -> str:
    """`value`, if it may stand in a subject; else InvalidName that shows it."""
    if _TOKEN.match(value) is None:
        shown = value if len(value) <= 80 else f"{value[:77]}..."
        raise InvalidName(f"{shown!r} is not a valid {kind}.")
    return value


def is_token(value: str) -> bool:
    return _TOKEN.match(value) is not None


def query(tenant: str, lane: Lane = Lane.FRESH) -> str:
    """Where a query enters. Publishers use the fresh lane; the router moves a flood to the other."""
    door = "af.query" if lane is Lane.FRESH else "af.bulk.query"
    return f"{door}.{token('tenant', tenant)}"


def retrieve(tenant: str, lane: Lane = Lane.FRESH) -> str:
    return f"{_work(lane)}.retrieve.{token('tenant', tenant)}"


def sql(tenant: str, lane: Lane = Lane.FRESH) -> str:
    return f"{_work(lane)}.sql.{token('tenant', tenant)}"


def generate(model: str, tenant: str, lane: Lane = Lane.FRESH) -> str:
    """Work for an adapter of a model is the model's."""
    return f"{_work(lane)}.generate.{token('model', queue_of(model))}.{token('tenant', tenant)}"


def generate_model(model: str, lane: Lane = Lane.FRESH) -> str:
    """All tenants of one model: what one generation consumer reads."""
    return f"{_work(lane)}.generate.{token('model', model)}.*"


def _work(lane: Lane) -> str:
    return "af.work" if lane is Lane.FRESH else "af.bulk"


def lane_of(subject: str) -> Lane:
    return Lane.BULK if subject.startswith("af.bulk.") else Lane.FRESH


def ingest(tenant: str) -> str:
    return f"af.ingest.{token('tenant', tenant)}"


def outcome(tenant: str) -> str:
    return f"af.outcome.{token('tenant', tenant)}"


def answer(tenant: str, query_id: str) -> str:
    return f"af.answer.{token('tenant', tenant)}.{token('query id', query_id)}"


def live(tenant: str, query_id: str) -> str:
    """Where the server repeats each event of an answer once it is stored."""
    return f"af.live.{token('tenant', tenant)}.{token('query id', query_id)}"


def feedback(tenant: str, query_id: str) -> str:
    """Of one answer: the stream keeps the last message of each."""
    return f"af.feedback.{token('tenant', tenant)}.{token('query id', query_id)}"


def cancel(tenant: str, query_id: str) -> str:
    return f"af.cancel.{token('tenant', tenant)}.{token('query id', query_id)}"


def handed_back(stream: str, sequence: int, delivery: int | str) -> str:
    """One delivery of one message that ended without a fault; `delivery` may be `*`."""
    return f"af.handed-back.{token('stream', stream)}.{sequence}.{delivery}"


def readers(tenant: str, query_id: str) -> str:
    """Where a bridge asks the others whether somebody reads an answer there."""
    return f"af.readers.{token('tenant', tenant)}.{token('query id', query_id)}"


def dead(stage: str, tenant: str) -> str:
    return f"af.dlq.{token('stage', stage)}.{token('tenant', tenant)}"


def answers_of(tenant: str) -> str:
    return f"af.answer.{token('tenant', tenant)}.*"


def live_of(tenant: str) -> str:
    return f"af.live.{token('tenant', tenant)}.*"


def feedback_of(tenant: str) -> str:
    return f"af.feedback.{token('tenant', tenant)}.*"


def cancel_of(tenant: str) -> str:
    return f"af.cancel.{token('tenant', tenant)}.*"


def dead_of(stage: str) -> str:
    return f"af.dlq.{token('stage', stage)}.*"


def handed_back_of(stream: str) -> str:
    return f"af.handed-back.{token('stream', stream)}.*.*"


def given_up(stream: str) -> str:
    """Where the server says that a message of a stream was delivered as often as its consumer allows."""
    return f"{GIVEN_UP}.{token('stream', stream)}.*"


def dead_letters(stage: str = "", tenant: str = "") -> str:
    """Those of a stage, of a tenant, of both, or all."""
    return f"af.dlq.{token('stage', stage) if stage else '*'}.{token('tenant', tenant) if tenant else '*'}"


def stage_of_dead(subject: str) -> str:
    return subject.split(".")[2]


def tenant_of(subject: str) -> str:
    """The tenant that a work, query, ingest, answer or cancel subject belongs to."""
    parts = subject.split(".")
    position = (
        2
        if parts[1] in ("query", "ingest", "answer", "live", "cancel", "outcome", "readers", "feedback")
        else len(parts) - 1
    )
    return parts[position]


def of_tenant(pattern: str, tenant: str) -> str:
    """The part of a stream's subjects, `af.query.*` for example, that is one tenant's: its last token."""
    return f"{pattern.removesuffix('*')}{token('tenant', tenant)}"


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject is one of a pattern whose wildcards are all `*`."""
    wanted, found = pattern.split("."), subject.split(".")
    return len(wanted) == len(found) and all(a in ("*", b) for a, b in zip(wanted, found, strict=True))


def answer_key(subject: str) -> AnswerKey:
    _, _, tenant, query_id = subject.split(".")
    return AnswerKey(tenant, query_id)
