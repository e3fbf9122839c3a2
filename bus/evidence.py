"""How evidence joins an answer: append it, and hand the query to generation once all of it is there."""

from bus import subjects
from bus.answer_log import AnswerWriter, LogState
from bus.connection import Bus
from bus.delivery import Delivery, GiveUp, Refusal
from bus.envelope import message_id
from bus.publish import publish
from bus.stage import fail_on_log
from contracts import SCHEMAS, Done, Event, Evidence, EvidenceJob, GenerateJob, Rows, decode, encode
from contracts.errors import AnswerEnded, DecodeError

STALE_AFTER_S = 0.5


async def standing_evidence(bus: Bus, delivery: Delivery[EvidenceJob], kind: type[Event]) -> Event | None:
    """The event that an earlier delivery wrote; a fresh first delivery costs no read.

    Raises:
        AnswerEnded: the answer was cancelled or failed while the job waited.
    """
    if delivery.attempt == 1 and delivery.age_s < STALE_AFTER_S:
        return None
    job = delivery.body
    state = await AnswerWriter(bus, delivery.tenant, job.query_id, position=job.position).read()
    if state.terminal is not None:
        raise AnswerEnded(f"The answer {job.query_id!r} ended as {state.terminal.type!r}.")
    return next((event for event in state.events if isinstance(event, kind)), None)


async def join_evidence(
    bus: Bus, job: EvidenceJob, event: Evidence | Rows, *, message: Delivery[EvidenceJob] | Refusal
) -> None:
    """Append `event`; when no other evidence is awaited, publish the generation job or end the answer.

    Args:
        message: what brought the job; the generation job keeps its tenant, deadline, trace and lane.

    May run twice: the event is appended once, and the generation job carries a dedup id.
    """
    tenant = message.tenant
    writer = AnswerWriter(bus, tenant, job.query_id, position=job.position)
    before = await writer.append_once(event)
    if job.joined and not _both(before, event):
        return
    if job.evidence_only:
        await writer.append_once(Done(text="", answered=_holds(before, event)))
        return
    following = GenerateJob(query_id=job.query_id, first_sequence=job.position.first_sequence)
    headers = message.envelope.headers(
        message_id=message_id(tenant, job.query_id, "generate"), schema=SCHEMAS[GenerateJob]
    )
    subject = subjects.generate(job.model, tenant, message.lane)
    await publish(bus, subject, encode(following), headers=headers)


def give_up_evidence(bus: Bus, kind: type[Evidence] | type[Rows]) -> GiveUp:
    """One kind of evidence can't be had: where the other kind is coming, the answer goes on without it."""
    fail = fail_on_log(bus)

    async def give_up(refusal: Refusal) -> None:
        job = _job(refusal)
        if job is None or not job.joined:
            await fail(refusal)
            return
        event = kind(problem=refusal.error.problem())
        await join_evidence(bus, job, event, message=refusal)

    return give_up


def _job(refusal: Refusal) -> EvidenceJob | None:
    try:
        return decode(EvidenceJob, refusal.raw)
    except DecodeError:
        return None


def _holds(before: LogState | None, event: Evidence | Rows) -> bool:
    """Whether there is a passage or the result of a statement, in `event` or before it."""
    found = [*(before.events if before else ()), event]
    passages = any(one.passages for one in found if isinstance(one, Evidence))
    return passages or any(one.statement for one in found if isinstance(one, Rows) and one.problem is None)


def _both(before: LogState | None, event: Evidence | Rows) -> bool:
    """Whether, with `event`, passages and rows are on the log; None: nothing came in between."""
    if before is None:
        return False
    kinds = {type(found) for found in before.events} | {type(event)}
    return {Evidence, Rows} <= kinds
