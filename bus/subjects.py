"""The grammar of subjects: the only place that builds or reads one.

A tenant, id or model is one token out of letters, digits, `-` and `_`. Anything else is refused, not escaped:
an escaped name would be another name on the next hop.
"""

import re
from typing import NamedTuple

from contracts.errors import InvalidName

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")

QUERY = "af.query.*"
RETRIEVE = "af.work.retrieve.*"
SQL = "af.work.sql.*"
GENERATE = "af.work.generate.*.*"
INGEST = "af.ingest.*"
ANSWER = "af.answer.*.*"
LIVE = "af.live.*.*"
DEAD = "af.dlq.*.*"
CANCEL = "af.cancel.*.*"
OUTCOME = "af.outcome.*"
WORKERS_PING = "af.workers.ping"


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


def query(tenant: str) -> str:
    return f"af.query.{token('tenant', tenant)}"


def retrieve(tenant: str) -> str:
    return f"af.work.retrieve.{token('tenant', tenant)}"


def sql(tenant: str) -> str:
    return f"af.work.sql.{token('tenant', tenant)}"


def generate(model: str, tenant: str) -> str:
    return f"af.work.generate.{token('model', model)}.{token('tenant', tenant)}"


def generate_model(model: str) -> str:
    """All tenants of one model: what one generation consumer reads."""
    return f"af.work.generate.{token('model', model)}.*"


def ingest(tenant: str) -> str:
    return f"af.ingest.{token('tenant', tenant)}"


def outcome(tenant: str) -> str:
    return f"af.outcome.{token('tenant', tenant)}"


def answer(tenant: str, query_id: str) -> str:
    return f"af.answer.{token('tenant', tenant)}.{token('query id', query_id)}"


def live(tenant: str, query_id: str) -> str:
    """Where the server repeats each event of an answer once it is stored."""
    return f"af.live.{token('tenant', tenant)}.{token('query id', query_id)}"


def cancel(tenant: str, query_id: str) -> str:
    return f"af.cancel.{token('tenant', tenant)}.{token('query id', query_id)}"


def dead(stage: str, tenant: str) -> str:
    return f"af.dlq.{token('stage', stage)}.{token('tenant', tenant)}"


def tenant_of(subject: str) -> str:
    """The tenant that a work, query, ingest, answer or cancel subject belongs to."""
    parts = subject.split(".")
    position = 2 if parts[1] in ("query", "ingest", "answer", "live", "cancel", "outcome") else len(parts) - 1
    return parts[position]


def answer_key(subject: str) -> AnswerKey:
    _, _, tenant, query_id = subject.split(".")
    return AnswerKey(tenant, query_id)
