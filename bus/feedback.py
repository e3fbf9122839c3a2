"""What readers think of answers: given once an answer, kept for a month, read as labelled questions."""

import secrets
from collections.abc import AsyncIterator
from typing import Literal, NamedTuple

from bus import subjects
from bus.connection import Bus
from bus.dead_letter import trace_id_of
from bus.envelope import MESSAGE_ID, SCHEMA, TRACE_PARENT, message_id, now_ms
from bus.publish import publish
from bus.stored import Stored, read_all, read_batch
from bus.topology import ANSWERS, FEEDBACK
from contracts import SCHEMAS, Accepted, Event, Feedback, Route, Routed, decode, decode_event, encode
from contracts.errors import AnswerNotFound

FIRST_EVENTS = 8
"""The query and its route are among so many events at the beginning of each log."""

Label = Literal["documents", "sql", "direct"]
_LABELS: dict[Route, Label] = {Route.DOCUMENTS: "documents", Route.SQL: "sql", Route.DIRECT: "direct"}


class Given(NamedTuple):
    """Feedback as it is kept; `trace_id` is that of the answer, empty where its log had none."""

    tenant: str
    feedback: Feedback
    trace_id: str


class LabelledQuestion(NamedTuple):
    """A question whose route a reader knows. `certain`: named by the reader, not only approved of."""

    tenant: str
    question: str
    route: Label
    certain: bool


async def give_feedback(bus: Bus, tenant: str, feedback: Feedback) -> Feedback:
    """Keep it, with the question and the route that the answer's log names.

    Feedback that was given on this answer before is replaced; the same again changes nothing but its time.

    Raises:
        AnswerNotFound: nothing is on the log of such an answer of this tenant.
        DependencyUnavailable: NATS did not answer; it can be given again.
    """
    subject = subjects.answer(tenant, feedback.query_id)
    log = (await read_batch(bus, ANSWERS.name, subject, limit=FIRST_EVENTS)).messages
    if not log:
        raise AnswerNotFound(
            f"There is no answer {feedback.query_id!r}.",
            remedy="Give feedback within 15 minutes after the question: answers are kept so long.",
        )
    whole = _with_route(feedback, [decode_event(stored.body) for stored in log])
    # Anew each time: the stream keeps the last of each answer, and a repeat of an id would be dropped as a
    # duplicate of one that has been replaced since.
    identity = message_id(tenant, feedback.query_id, f"feedback-{secrets.token_hex(8)}")
    headers = {MESSAGE_ID: identity, SCHEMA: SCHEMAS[Feedback]}
    trace_parent = next((s.headers[TRACE_PARENT] for s in log if TRACE_PARENT in s.headers), "")
    if trace_parent:
        headers[TRACE_PARENT] = trace_parent
    kept = whole.model_copy(update={"at": now_ms()})
    await publish(bus, subjects.feedback(tenant, feedback.query_id), encode(kept), headers=headers)
    return kept


async def read_feedback(bus: Bus, *, tenant: str = "", since_ms: int = 0) -> AsyncIterator[Given]:
    """The last word on each answer, oldest first; of all tenants where none is named.

    Args:
        since_ms: only what was given since, in epoch milliseconds.

    Raises:
        DependencyUnavailable: NATS did not answer.
    """
    subject = subjects.feedback_of(tenant) if tenant else subjects.FEEDBACK
    async for stored in read_all(bus, FEEDBACK.name, subject, since_ms=since_ms):
        yield given_in(stored)


async def read_labels(bus: Bus, *, since_ms: int = 0) -> AsyncIterator[LabelledQuestion]:
    """What the router can learn from: `router train` reads this."""
    async for given in read_feedback(bus, since_ms=since_ms):
        label = label_of(given)
        if label is not None:
            yield label


def label_of(given: Given) -> LabelledQuestion | None:
    """None where the route is not known: a thumb down alone may be about the text.

    `both` is what the router says when it does not know, so it is no label.
    """
    feedback = given.feedback
    found = feedback.route or (feedback.routed if feedback.rating == "up" else None)
    label = _LABELS.get(found) if found else None
    if label is None or not feedback.question:
        return None
    return LabelledQuestion(given.tenant, feedback.question, label, feedback.route is not None)


def given_in(stored: Stored) -> Given:
    """Raises DecodeError."""
    feedback = decode(Feedback, stored.body, schema=stored.headers.get(SCHEMA))
    trace_id = trace_id_of(stored.headers.get(TRACE_PARENT, ""))
    return Given(subjects.tenant_of(stored.subject), feedback, trace_id)


def _with_route(feedback: Feedback, events: list[Event]) -> Feedback:
    asked = next((event.query.question for event in events if isinstance(event, Accepted)), "")
    routed = next((event for event in events if isinstance(event, Routed)), None)
    found = {"question": asked, "routed": None}
    if routed is not None:
        found = {"question": routed.question or asked, "routed": routed.route}
    return feedback.model_copy(update=found)
