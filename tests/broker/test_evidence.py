"""The join of both kinds of evidence, and cancelling work, on a real nats-server."""

import asyncio

import pytest

from bus import subjects
from bus.answer_log import AnswerWriter, read_log
from bus.asking import cancel_query
from bus.cancellation import watch_cancellations
from bus.connection import Bus
from bus.delivery import Delivery, Refusal
from bus.envelope import Envelope, now_ms
from bus.evidence import give_up_evidence, join_evidence, standing_evidence
from bus.testing import eventually
from bus.topology import GENERATE
from contracts import Accepted, Done, Evidence, EvidenceJob, Query, Rows, encode
from contracts.errors import AnswerEnded, DependencyUnavailable

ENVELOPE = Envelope(deadline=now_ms() + 60_000)


async def job_of(bus: Bus, *, joined: bool) -> EvidenceJob:
    writer = AnswerWriter(bus, "acme", "q1")
    await writer.append_once(Accepted(tenant="acme", query=Query(id="q1", question="?"), deadline=1))
    return EvidenceJob(query_id="q1", question="?", joined=joined, position=writer.position)


async def generation_jobs(bus: Bus) -> int:
    return (await bus.js.stream_info(GENERATE.name)).state.messages


async def join(bus: Bus, job: EvidenceJob, event: Evidence | Rows) -> None:
    message = Delivery(job, "acme", ENVELOPE, attempt=1)
    await join_evidence(bus, job, event, message=message)


async def test_a_single_kind_of_evidence_goes_straight_to_generation(bus: Bus) -> None:
    await join(bus, await job_of(bus, joined=False), Evidence())

    assert await generation_jobs(bus) == 1


async def test_the_later_of_two_branches_publishes_the_generation_job(bus: Bus) -> None:
    job = await job_of(bus, joined=True)
    await join(bus, job, Rows(statement="SELECT 1"))
    assert await generation_jobs(bus) == 0

    await join(bus, job, Evidence())

    assert await generation_jobs(bus) == 1


@pytest.mark.parametrize(("statement", "answered"), [("SELECT 1", True), (None, False)])
async def test_an_answer_that_is_only_evidence_ends_with_it(
    bus: Bus, statement: str | None, answered: bool
) -> None:
    job = (await job_of(bus, joined=True)).model_copy(update={"evidence_only": True})
    await join(bus, job, Rows(statement=statement))
    await join(bus, job, Evidence())

    done = (await read_log(bus, "acme", "q1")).terminal
    assert isinstance(done, Done)
    assert (done.text, done.answered) == ("", answered)
    assert await generation_jobs(bus) == 0


async def test_branches_that_finish_together_publish_one_generation_job(bus: Bus) -> None:
    job = await job_of(bus, joined=True)

    await asyncio.gather(join(bus, job, Rows(statement="SELECT 1")), join(bus, job, Evidence()))

    assert await generation_jobs(bus) == 1
    assert (await read_log(bus, "acme", "q1")).last_index == 3


async def test_a_branch_that_is_delivered_again_appends_once_and_publishes_what_was_lost(bus: Bus) -> None:
    job = await job_of(bus, joined=True)
    await join(bus, job, Rows(statement="SELECT 1"))
    writer = AnswerWriter(bus, "acme", "q1", position=job.position)
    await writer.append_once(Evidence())  # and then the worker dies before it publishes

    await join(bus, job, Evidence())

    assert await generation_jobs(bus) == 1
    assert (await read_log(bus, "acme", "q1")).last_index == 3


async def test_a_branch_that_is_given_up_leaves_the_answer_to_the_other(bus: Bus) -> None:
    job = await job_of(bus, joined=True)
    await join(bus, job, Evidence())
    lost = DependencyUnavailable("PostgreSQL is away.")

    await give_up_evidence(bus, Rows)(Refusal(encode(job), "acme", ENVELOPE, lost))

    state = await read_log(bus, "acme", "q1")
    assert state.terminal is None
    last = state.events[-1]
    assert isinstance(last, Rows)
    assert last.problem is not None
    assert last.problem.code == "dependency-unavailable"
    assert await generation_jobs(bus) == 1


async def test_a_job_that_waited_sees_that_its_answer_was_cancelled(bus: Bus) -> None:
    job = await job_of(bus, joined=False)
    await cancel_query(bus, "acme", "q1")

    with pytest.raises(AnswerEnded):
        await standing_evidence(bus, Delivery(job, "acme", ENVELOPE, 1, age_s=5.0), Evidence)


async def test_a_cancel_message_stops_the_work_and_ends_the_log(bus: Bus) -> None:
    await job_of(bus, joined=False)
    started = asyncio.Event()

    async def endless() -> None:
        started.set()
        await asyncio.Event().wait()

    async with watch_cancellations(bus) as cancellations:
        working = asyncio.create_task(cancellations.run("acme", "q1", endless()))
        await started.wait()
        await bus.nc.publish(subjects.cancel("acme", "q1"), b"")
        with pytest.raises(AnswerEnded):
            await asyncio.wait_for(working, 5)

    state = await read_log(bus, "acme", "q1")
    assert state.events[-1].type == "cancelled"


async def test_shutdown_is_not_taken_for_a_cancel(bus: Bus) -> None:
    await job_of(bus, joined=False)
    stopped = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with watch_cancellations(bus) as cancellations:
        working = asyncio.create_task(cancellations.run("acme", "q1", endless()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working

    await eventually(stopped.is_set)
    assert (await read_log(bus, "acme", "q1")).terminal is None
