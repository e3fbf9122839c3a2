"""What the judge makes of engines, statements and pauses; the rest is shown by breaking the platform."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bus.subjects import AnswerKey
from contracts import Accepted, Cancelled, Done, Event, Query, encode
from loadgen.account import Account
from loadgen.engine_journal import EngineJournal
from loadgen.oracle import Evidence, Judge, Terms
from loadgen.witness import EngineUse, Outcome, Pause, Seen, StatementUse, Witness

KEY = AnswerKey("acme", "q")
DEADLINE = 60_000
ENDED = 10_000


def account(end: Event) -> Account:
    made = Account(KEY)
    query = Query(id="q", question="Why?")
    events = [Accepted(index=1, at=100, tenant="acme", query=query, deadline=DEADLINE), end]
    for event in events:
        made.add(event, encode(event))
    return made


CANCELLED = Cancelled(index=2, at=ENDED)
DONE = Done(index=2, at=ENDED, text="")


def judged(
    end: Event | None,
    *,
    engine: Sequence[EngineUse] = (),
    statements: Sequence[StatementUse] = (),
    pauses: Sequence[Pause] = (),
    witness: Witness | None = None,
) -> set[str]:
    judge = Judge(Terms(grace_s=1, settle_s=1))
    judge.hear(witness or Witness(*KEY, Outcome.ACCEPTED, DEADLINE))
    accounts = {KEY: account(end)} if end is not None else {}
    evidence = Evidence({"q": engine}, {"q": statements}, pauses)
    due, found = judge.close_due(accounts, evidence, now=DEADLINE + 2_000, last=True)
    assert due == (KEY,)
    return {violation.line for violation in found}


def use(began: int, ended: int = 0, pid: int = 7) -> EngineUse:
    return EngineUse("q", pid, began, ended)


@pytest.mark.parametrize(
    ("engine", "pauses", "lines"),
    [
        ([use(9_000, 10_900)], [], set()),
        ([use(9_000, 11_100)], [], {"cancel_stops"}),
        ([use(12_000, 13_100)], [], {"cancel_stops"}),
        ([use(9_000)], [], set()),
        ([use(9_000, 15_000)], [Pause(10_500, 14_800, pid=7)], set()),
        ([use(9_000, 15_000)], [Pause(10_500, 14_800, pid=8)], {"cancel_stops"}),
        ([use(9_000, 15_000)], [Pause(10_500, 12_000), Pause(11_000, 14_800, pid=7)], set()),
        ([use(9_000, 15_000)], [Pause(10_500, 12_000)], {"cancel_stops"}),
    ],
    ids=[
        "in time",
        "too long",
        "begun long after",
        "killed",
        "stopped process",
        "other process was stopped",
        "two pauses overlap",
        "short pause",
    ],
)
def test_after_a_cancel_an_engine_has_a_second_that_pauses_do_not_count_in(
    engine: list[EngineUse], pauses: list[Pause], lines: set[str]
) -> None:
    assert judged(CANCELLED, engine=engine, pauses=pauses) == lines


def test_after_a_cancel_postgresql_has_a_second() -> None:
    assert judged(CANCELLED, statements=[StatementUse("q", 5, 9_000, 10_900)]) == set()
    assert judged(CANCELLED, statements=[StatementUse("q", 5, 9_000, 11_100)]) == {"cancel_stops"}


def test_an_engine_stops_a_second_after_the_deadline_and_is_not_asked_behind_it() -> None:
    assert judged(DONE, engine=[use(59_000, DEADLINE + 900)]) == set()
    assert judged(DONE, engine=[use(59_000, DEADLINE + 1_100)]) == {"expired_spent_nothing"}
    assert judged(DONE, engine=[use(DEADLINE + 200, DEADLINE + 210)]) == {"expired_spent_nothing"}


def test_two_attempts_side_by_side_need_a_fault_that_explains_them() -> None:
    one, other = use(1_000, 5_000), use(4_000, 6_000, pid=8)

    assert judged(DONE, engine=[one, use(5_000, 6_000)]) == set()
    assert judged(DONE, engine=[use(1_000), other]) == set()
    assert judged(DONE, engine=[other, one]) == {"work_is_once"}
    assert judged(DONE, engine=[one, other], pauses=[Pause(2_000, 3_000, pid=7)]) == set()
    assert judged(DONE, engine=[one, other], pauses=[Pause(4_500, 5_000, pid=7)]) == {"work_is_once"}


def test_an_unknown_outcome_may_have_no_log_but_an_accepted_query_must() -> None:
    assert judged(None, witness=Witness(*KEY, Outcome.UNKNOWN, DEADLINE)) == set()
    assert judged(None, witness=Witness(*KEY, Outcome.REFUSED, DEADLINE)) == set()
    assert judged(None) == {"one_terminal"}


def test_a_reader_that_left_early_is_held_to_what_it_saw_and_a_whole_one_to_everything() -> None:
    first = Seen(1, encode(account_events()[0]))
    partly = Witness(*KEY, Outcome.ACCEPTED, DEADLINE, [first])
    whole = Witness(*KEY, Outcome.ACCEPTED, DEADLINE, [first], whole=True)

    assert judged(DONE, witness=partly) == set()
    assert judged(DONE, witness=whole) == {"one_terminal", "resume_is_same"}


def account_events() -> list[Event]:
    return [
        Accepted(index=1, at=100, tenant="acme", query=Query(id="q", question="Why?"), deadline=DEADLINE),
        DONE,
    ]


def test_a_query_is_not_judged_before_its_deadline_and_grace() -> None:
    judge = Judge(Terms(grace_s=1, settle_s=1))
    judge.hear(Witness(*KEY, Outcome.ACCEPTED, DEADLINE))

    assert judge.close_due({}, Evidence(), now=DEADLINE + 900) == ((), ())
    assert len(judge.close_due({}, Evidence(), now=DEADLINE + 1_100)[1]) == 1


KILLED_ENGINE = """
import asyncio, sys
from pathlib import Path
from workers.engines.journal import EngineJournal
from workers.engines.port import GenerationRequest, Message
from workers.engines.simulated import SimulatedEngine, Timing

async def main():
    journal = EngineJournal(Path(sys.argv[1]))
    engine = SimulatedEngine(Timing(first_token_s=0, interval_s=0, answer_tokens=3), journal=journal)
    request = GenerationRequest((Message("user", "Why?"),), max_tokens=3, request_id="whole")
    async for piece in engine.stream(request):
        pass
    slow = SimulatedEngine(Timing(first_token_s=60), journal=journal)
    request = GenerationRequest((Message("user", "Why?"),), max_tokens=3, request_id="killed")
    async for piece in slow.stream(request):
        pass

asyncio.run(main())
"""


def test_what_an_engine_worked_on_survives_its_sigkill(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED_ENGINE, str(tmp_path)])
    journal = EngineJournal(tmp_path)
    while "killed" not in journal.uses and process.poll() is None:
        journal.read()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    journal.read()

    (whole,), (killed,) = journal.uses["whole"], journal.uses["killed"]
    assert (whole.tokens, whole.aborted, whole.pid) == (3, False, process.pid)
    assert whole.began <= whole.ended
    assert killed.ended == 0


def test_half_a_line_of_a_journal_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "engine-1.jsonl"
    line = b'{"at":5,"what":"start","query_id":"q","pid":1,"request":1,"tokens":0}\n'
    journal = EngineJournal(tmp_path)
    path.write_bytes(line[:20])
    journal.read()
    assert journal.uses == {}
    path.write_bytes(line)
    journal.read()
    assert journal.uses == {"q": [EngineUse("q", 1, 5)]}
