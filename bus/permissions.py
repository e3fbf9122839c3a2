"""Who may do what on NATS, as data: what the server's configuration and docs/security.md are made from.

The fleet (workers, bridge, operator, ...) shares one account, where each role is held to the subjects that it
needs. Each tenant has an account of its own that imports its own doors and nothing else. Permissions alone
would not keep tenants apart: a client names the reply subject of a request freely and the server sends the
reply there with its own rights, so a publisher could have text stored on another tenant's answer. In another
account, a reply can only come back to that account. See docs/adr/0007-account-per-tenant.md.
"""

from dataclasses import dataclass

from bus import subjects
from bus.topology import (
    ANSWERS,
    ARTEFACTS_BUCKET,
    DLQ,
    FAIR_STREAMS,
    FEEDBACK,
    GENERATE,
    HANDED_BACK,
    INGEST,
    RETRIEVE,
    ROUTE,
    SQL,
    STAGES,
    STREAMS,
    Stream,
)

FLEET = "FLEET"
"""The account of everything but the tenants; the streams are its own."""
SYSTEM = "SYS"
API = "$JS.API"
INBOX = "_INBOX"
ARTEFACTS = f"OBJ_{ARTEFACTS_BUCKET}"
ADVISORIES = "$JS.EVENT.ADVISORY.>"


@dataclass(frozen=True)
class Role:
    """The subjects that credentials may use. With a `tenant`, they belong to that tenant's account."""

    name: str
    purpose: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    tenant: str = ""

    @property
    def inbox(self) -> str:
        """What its reply subjects begin with: AF_NATS_INBOX_PREFIX."""
        return INBOX if self.tenant else inbox(self.name)


def inbox(role: str) -> str:
    """In the account that they share, no role hears the replies to another."""
    return f"{INBOX}.{role}"


def account(tenant: str) -> str:
    return f"TENANT-{subjects.token('tenant', tenant)}"


def services_of(tenant: str) -> tuple[str, ...]:
    """What a tenant's account may send to the fleet.

    The last of them reads the last event of an answer: a read whose address names its subject. The batched
    read names it in the body, and a consumer delivers wherever its body says: no permission reaches there.
    """
    return (
        subjects.query(tenant),
        subjects.ingest(tenant),
        subjects.cancel_of(tenant),
        f"{API}.DIRECT.GET.{ANSWERS.name}.{subjects.answers_of(tenant)}",
    )


def shown_to(tenant: str) -> tuple[str, ...]:
    """What a tenant's account hears from the fleet."""
    return subjects.live_of(tenant), subjects.outcome(tenant)


def publisher(tenant: str) -> Role:
    return Role(
        "publisher",
        "asks, sends documents and reads answers on behalf of one tenant",
        publish=services_of(tenant),
        subscribe=(*shown_to(tenant), f"{INBOX}.>"),
        tenant=tenant,
    )


def _answers() -> tuple[str, ...]:
    """To write and read the log; the read names its subject in the body, so it reaches every tenant's."""
    return subjects.ANSWER, f"{API}.DIRECT.GET.{ANSWERS.name}"


def _presence() -> tuple[str, ...]:
    """To answer those who ask which workers are there."""
    return f"{inbox('operator')}.>", f"{inbox('monitor')}.>", f"{inbox('ops')}.>"


def _works_on(stream: Stream) -> tuple[str, ...]:
    """To pull and settle the messages of a stage, to hand them back, to bury them."""
    pulls = [
        subject
        for durable in _durables(stream)
        for subject in (
            f"{API}.CONSUMER.MSG.NEXT.{stream.name}.{durable}",
            f"$JS.ACK.{stream.name}.{durable}.>",
        )
    ]
    return (
        *pulls,
        subjects.dead_of(stream.stage),
        subjects.handed_back_of(stream.name),
        f"{API}.STREAM.INFO.{HANDED_BACK.name}",
        *_clears_up(stream),
        *_presence(),
    )


def _clears_up(stream: Stream) -> tuple[str, ...]:
    """To bury what the server gave up: no consumer delivers it, so it is read and removed by sequence."""
    return tuple(
        f"{API}.{call}"
        for call in (
            f"STREAM.INFO.{stream.name}",
            f"STREAM.MSG.GET.{stream.name}",
            f"STREAM.MSG.DELETE.{stream.name}",
            f"DIRECT.GET.{stream.name}",
            f"CONSUMER.NAMES.{stream.name}",
            f"CONSUMER.INFO.{stream.name}.*",
        )
    )


def _scans() -> tuple[str, ...]:
    """To read many answers in one pass, with a consumer that goes away by itself."""
    return tuple(f"{API}.CONSUMER.{call}.{ANSWERS.name}.*" for call in ("CREATE", "MSG.NEXT", "DELETE"))


def _places() -> tuple[str, ...]:
    """To tell how much stands before a query; jobs name their query and no more."""
    stages = (RETRIEVE, SQL, GENERATE)
    return (
        *_watches(stages),
        *(f"{API}.DIRECT.GET.{stream.name}" for stream in stages),
        *(f"{API}.CONSUMER.INFO.{stream.name}.*" for stream in (ROUTE, *stages)),
    )


def _durables(stream: Stream) -> tuple[str, ...]:
    """Generation has a pair of consumers for each model, and models come and go."""
    return ("*",) if stream is GENERATE else tuple(consumer.durable for consumer in stream.consumers)


def _artefact_reads() -> tuple[str, ...]:
    """To follow an object store: nats-py looks the stream up by name and makes a consumer of its own."""
    return (
        f"{API}.STREAM.NAMES",
        f"{API}.STREAM.INFO.{ARTEFACTS}",
        f"{API}.STREAM.MSG.GET.{ARTEFACTS}",
        f"{API}.DIRECT.GET.{ARTEFACTS}",
        f"{API}.DIRECT.GET.{ARTEFACTS}.>",
        f"{API}.CONSUMER.CREATE.{ARTEFACTS}",
        f"{API}.CONSUMER.CREATE.{ARTEFACTS}.>",
        f"{API}.CONSUMER.DELETE.{ARTEFACTS}.*",
        f"$JS.FC.{ARTEFACTS}.>",
    )


def _feedback_reads() -> tuple[str, ...]:
    """What readers of all tenants thought of their answers: labelled examples of routes."""
    return (f"{API}.DIRECT.GET.{FEEDBACK.name}",)


def _hears(role: str, *others: str) -> tuple[str, ...]:
    return (*others, f"{inbox(role)}.>")


def _watches(streams: tuple[Stream, ...]) -> tuple[str, ...]:
    return tuple(f"{API}.STREAM.INFO.{stream.name}" for stream in streams)


def _stage(role: str, purpose: str, stream: Stream, *further: str) -> Role:
    """A worker of the answer path."""
    return Role(
        role,
        purpose,
        publish=(*_works_on(stream), *_answers(), *further),
        subscribe=_hears(role, subjects.given_up(stream.name), subjects.CANCEL, subjects.WORKERS_PING),
    )


_GENERATION = (subjects.GENERATE, subjects.BULK_GENERATE)

ROUTER = Role(
    "router",
    "accepts questions, decides their route, moves a flood to the bulk lane",
    publish=(
        *_works_on(ROUTE),
        *_answers(),
        subjects.BULK_QUERY,
        *(RETRIEVE.subjects),
        *(SQL.subjects),
        *_GENERATION,
        *_watches(FAIR_STREAMS),
        *_artefact_reads(),
        *_feedback_reads(),
    ),
    subscribe=_hears(
        "router", subjects.given_up(ROUTE.name), subjects.CANCEL, subjects.OUTCOME, subjects.WORKERS_PING
    ),
)
RETRIEVAL = _stage("retrieval", "searches the documents", RETRIEVE, *_GENERATION)
SQL_ROLE = _stage("sql", "asks the databases", SQL, *_GENERATION)
GENERATION = _stage("generation", "writes the text", GENERATE)
INGEST_ROLE = Role(
    "ingest",
    "indexes documents",
    publish=(*_works_on(INGEST), subjects.OUTCOME),
    subscribe=_hears("ingest", subjects.given_up(INGEST.name), subjects.WORKERS_PING),
)
BRIDGE = Role(
    "bridge",
    "asks, reads and cancels for every tenant on behalf of HTTP clients",
    publish=(
        subjects.QUERY,
        subjects.CANCEL,
        subjects.FEEDBACK,
        *_answers(),
        *_scans(),
        f"{API}.STREAM.INFO.{ROUTE.name}",
        f"{API}.STREAM.MSG.GET.{ROUTE.name}",
        *_places(),
        subjects.READERS,
        f"{inbox('bridge')}.>",
        *_presence(),
    ),
    subscribe=_hears("bridge", subjects.LIVE, subjects.READERS, subjects.WORKERS_PING),
)
OPERATOR = Role(
    "operator",
    "people at the command line: everything of the fleet",
    publish=(
        "af.>",
        f"{API}.>",
        "$JS.ACK.>",
        "$JS.FC.>",
        f"$O.{ARTEFACTS_BUCKET}.>",
        f"{inbox('ops')}.>",  # the local scaler works with this role, and answers the operator's page
    ),
    subscribe=_hears("operator", "af.>", ADVISORIES),
)
OPS = Role(
    "ops",
    "the operator's page: sees queues, scaling and answers, replays and purges dead letters, cancels answers",
    publish=(
        *_watches(STREAMS),
        *(
            f"{API}.CONSUMER.{call}"
            for s in STAGES.values()
            for call in (f"NAMES.{s.name}", f"INFO.{s.name}.*")
        ),
        *(f"{API}.DIRECT.GET.{stream.name}" for stream in (*STAGES.values(), DLQ)),
        *(f"{API}.STREAM.MSG.{call}.{stream.name}" for call in ("GET", "DELETE") for stream in (ROUTE, DLQ)),
        *_answers(),
        subjects.QUERY,
        subjects.INGEST,
        subjects.CANCEL,
        subjects.WORKERS_PING,
        subjects.SCALING,
        *_presence(),
    ),
    subscribe=_hears("ops", subjects.WORKERS_PING),
)
PROVISION = Role(
    "provision",
    "creates and updates streams and consumers; deletes and reads nothing",
    publish=tuple(
        f"{API}.{call}"
        for name in (*(stream.name for stream in STREAMS), ARTEFACTS)
        for call in (
            f"STREAM.INFO.{name}",
            f"STREAM.CREATE.{name}",
            f"STREAM.UPDATE.{name}",
            f"CONSUMER.CREATE.{name}.>",
            f"CONSUMER.DURABLE.CREATE.{name}.*",
        )
    ),
    subscribe=_hears("provision"),
)
MONITOR = Role(
    "monitor",
    "autoscalers and dashboards: lengths of queues, workers alive; no message",
    publish=(
        f"{API}.INFO",
        f"{API}.STREAM.NAMES",
        f"{API}.STREAM.LIST",
        *_watches(STREAMS),
        *(
            f"{API}.CONSUMER.{call}"
            for s in STREAMS
            for call in (f"NAMES.{s.name}", f"LIST.{s.name}", f"INFO.{s.name}.*")
        ),
        subjects.WORKERS_PING,
    ),
    subscribe=_hears("monitor", ADVISORIES),
)

FLEET_ROLES: tuple[Role, ...] = (
    ROUTER,
    RETRIEVAL,
    SQL_ROLE,
    GENERATION,
    INGEST_ROLE,
    BRIDGE,
    OPERATOR,
    OPS,
    PROVISION,
    MONITOR,
)


def fleet_role(name: str) -> Role:
    return next(role for role in FLEET_ROLES if role.name == name)
