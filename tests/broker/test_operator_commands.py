"""`askfleet status`, `dlq` and `cancel` as a person runs them, against a real nats-server."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple

import pytest
import structlog

from askfleet.main import main
from bus import subjects
from bus.answer_log import AnswerWriter, read_log
from bus.asking import publish_query
from bus.connection import Bus, connect
from bus.dead_letter import bury
from bus.envelope import MESSAGE_ID, now_ms
from bus.feedback import give_feedback
from bus.overview import Overview, read_overview
from bus.presence import Identity, answer_pings
from bus.provision import provision
from bus.settings import BusSettings
from bus.stored import Stored
from contracts import Accepted, Cancelled, Feedback, Query, encode
from contracts.errors import DependencyUnavailable, InvalidQuery

Do = Callable[[Callable[[Bus], Coroutine[Any, Any, Any]]], Any]


class Outcome(NamedTuple):
    status: int
    out: str
    error: str


Run = Callable[..., Outcome]


@pytest.fixture
def do(nats_url: str) -> Do:
    """Run something on a provisioned bus; commands have event loops of their own."""

    def run(work: Callable[[Bus], Coroutine[Any, Any, Any]]) -> Any:
        async def inside() -> Any:
            settings = BusSettings(nats_url=nats_url)
            async with connect(settings, name="test") as bus:
                await provision(bus.js, settings)
                return await work(bus)

        return asyncio.run(inside())

    return run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], nats_url: str) -> Iterator[Run]:
    def askfleet(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--nats-url", nats_url])
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, *capsys.readouterr())

    yield askfleet
    structlog.reset_defaults()


async def fill(bus: Bus) -> None:
    """Three dead letters, two queries that wait."""
    for number, (stage, tenant) in enumerate((("router", "acme"), ("router", "globex"), ("sql", "acme"))):
        error = InvalidQuery("No.") if stage == "router" else DependencyUnavailable("PostgreSQL is away.")
        body = encode(Query(id=f"dead{number}", question="Why?")) if stage == "router" else b"{}"
        subject = subjects.query(tenant) if stage == "router" else subjects.sql(tenant)
        headers = {MESSAGE_ID: f"dead{number}"}
        await bury(bus, stage, Stored("TEST", number + 1, subject, headers, body, now_ms()), error, 3)
    for tenant in ("acme", "globex"):
        await publish_query(bus, tenant, Query(id="q1", question="?"), deadline=now_ms() + 60_000)


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


async def overview(bus: Bus) -> Overview:
    return await read_overview(bus, gather_s=0.05)


async def cancelled(bus: Bus) -> tuple[bool, bool]:
    states = [await read_log(bus, tenant, "q1") for tenant in ("acme", "globex")]
    first, second = (isinstance(state.terminal, Cancelled) for state in states)
    return first, second


def test_status_shows_every_stage_with_its_numbers(run: Run, do: Do) -> None:
    do(fill)
    shown = run("status")
    assert shown.status == 0
    row = next(line.split() for line in shown.out.splitlines() if line.split()[:1] == ["router"])
    assert row[1] == "2"
    assert all(stage in shown.out for stage in ("router", "retrieval", "sql", "generation", "ingest"))
    assert "router-bulk" in shown.out


def test_status_as_json_is_one_object(run: Run, do: Do) -> None:
    do(fill)
    found = Overview.model_validate_json(run("status", "--json").out)
    assert found.stage("router").waiting == 2
    assert found.dead == {"router": 2, "sql": 1}


def test_watching_writes_one_object_a_line_and_ends_cleanly_with_ctrl_c(nats_url: str, do: Do) -> None:
    do(fill)
    command = [sys.executable, "-m", "askfleet.main", "status", "--watch", "--json", "--nats-url", nats_url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        told = [Overview.model_validate_json(process.stdout.readline()) for _ in range(2)]
    finally:
        os.kill(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=20)
    assert process.returncode == 0
    assert error == ""
    assert 500 < told[1].at - told[0].at < 5000


def test_workers_that_are_alive_are_shown_with_their_host(run: Run, nats_url: str, do: Do) -> None:
    async def beside(bus: Bus) -> Outcome:
        async with answer_pings(bus, Identity("sql", version="9.9.9"), lambda: {"pulling": False}):
            await bus.nc.flush()
            return await asyncio.to_thread(run, "status")

    shown = do(beside)
    assert "9.9.9" in shown.out
    assert "not pulling" in shown.out


def test_letters_are_listed_with_filters_and_shown_whole(run: Run, do: Do) -> None:
    do(fill)
    assert [found["query_id"] for found in lines(run("dlq", "list", "--json").out)] == [
        "dead0",
        "dead1",
        "dead2",
    ]
    filtered = run("dlq", "list", "--stage", "router", "--tenant", "acme", "--since", "1h", "--json")
    assert [found["query_id"] for found in lines(filtered.out)] == ["dead0"]
    assert "PostgreSQL is away." in run("dlq", "list").out
    whole = json.loads(run("dlq", "show", "1", "--json").out)
    assert whole["body"]["question"] == "Why?"
    assert whole["code"] == "invalid-query"
    assert "Af-Dead-Reason: No." in run("dlq", "show", "1").out


def test_a_letter_that_is_not_there_is_named(run: Run, do: Do) -> None:
    do(fill)
    done = run("dlq", "show", "99")
    assert done.status == 1
    assert "99" in done.error
    assert "remedy" in done.error


def test_a_replay_is_tried_dry_then_done_then_has_nothing_left_to_do(run: Run, do: Do) -> None:
    do(fill)
    dry = run("dlq", "replay", "--stage", "router", "--dry-run")
    assert "1 replayed as dead0-r1" in dry.out
    assert do(overview).stage("router").waiting == 2
    done = run("dlq", "replay", "--stage", "router", "--yes", "--json")
    assert [(found["outcome"], found["query_id"]) for found in lines(done.out)] == [
        ("replayed", "dead0-r1"),
        ("replayed", "dead1-r1"),
    ]
    again = run("dlq", "replay", "1", "2", "--yes", "--json")
    assert {found["outcome"] for found in lines(again.out)} == {"already"}
    after = do(overview)
    assert (after.stage("router").waiting, after.dead) == (4, {"sql": 1})


def test_a_letter_that_can_not_be_replayed_says_so_in_the_exit_status(run: Run, do: Do) -> None:
    do(fill)
    done = run("dlq", "replay", "--stage", "sql", "--yes")
    assert done.status == 1
    assert "impossible" in done.out
    assert do(overview).dead["sql"] == 1


def test_letters_are_purged_by_filter_after_a_dry_run(run: Run, do: Do) -> None:
    do(fill)
    assert "would purge 2" in run("dlq", "purge", "--tenant", "acme", "--dry-run").out
    assert "purged 2" in run("dlq", "purge", "--tenant", "acme", "--yes").out
    assert do(overview).dead == {"router": 1}


def test_nothing_is_replayed_purged_or_cancelled_without_being_named(run: Run, do: Do) -> None:
    do(fill)
    for command in (("dlq", "replay"), ("dlq", "purge"), ("cancel",)):
        done = run(*command, "--yes")
        assert done.status == 2
        assert "--all" in done.error
    assert do(overview).stage("router").waiting == 2


@pytest.mark.parametrize(
    "command", [("dlq", "replay", "--all"), ("dlq", "purge", "--all"), ("cancel", "--all")]
)
def test_without_a_terminal_a_confirmation_must_be_given_beforehand(
    run: Run, do: Do, command: tuple[str, ...]
) -> None:
    do(fill)
    before = do(overview)
    done = run(*command)
    assert done.status == 2
    assert "--yes" in done.error
    after = do(overview)
    assert (after.dead, after.stage("router").stored) == (before.dead, before.stage("router").stored)


def test_a_tenant_is_cancelled_after_a_dry_run_and_the_other_is_left(run: Run, do: Do) -> None:
    do(fill)
    dry = run("cancel", "--tenant", "acme", "--dry-run")
    assert "would cancel 1 item of 1 tenant" in dry.out
    assert do(cancelled) == (False, False)
    assert run("cancel", "--tenant", "acme", "--yes").out == "cancelled 1\n"
    assert do(cancelled) == (True, False)
    assert run("cancel", "--all", "--yes").out == "cancelled 1\n"
    assert do(cancelled) == (True, True)
    assert do(overview).stage("router").stored == 0


def test_one_query_is_cancelled_by_its_id_without_being_asked_twice(run: Run, do: Do) -> None:
    do(fill)
    assert run("cancel", "q1", "--tenant", "globex").out == "cancelled 1\n"
    assert do(cancelled) == (False, True)
    missing = run("cancel", "nowhere", "--tenant", "globex")
    assert missing.status == 1
    assert "'nowhere'" in missing.error


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("cancel", "--stage", "kitchen"), "kitchen"),
        (("cancel", "q1", "--all"), "--all"),
        (("cancel", "--all", "--tenant", "acme"), "--all"),
        (("cancel", "--tenant", "a.b", "--yes"), "a.b"),
        (("dlq", "list", "--since", "yesterday"), "yesterday"),
        (("dlq", "list", "--stage", "kitchen"), "kitchen"),
        (("dlq", "list", "--tenant", "a b"), "a b"),
    ],
)
def test_bad_options_are_refused_by_name(run: Run, arguments: tuple[str, ...], named: str) -> None:
    done = run(*arguments)
    assert done.status in (1, 2)
    assert named in done.error
    assert "remedy" in done.error
    assert "Traceback" not in done.error


@pytest.mark.parametrize("command", [("status",), ("dlq", "list"), ("cancel", "q1")])
def test_a_server_that_is_not_there_is_named_with_a_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("AF_CONNECT_TIMEOUT_S", "0.3")
    began = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        main([*command, "--nats-url", "nats://127.0.0.1:9"])
    assert ended.value.code == 2
    assert "nats://127.0.0.1:9" in capsys.readouterr().err
    assert time.monotonic() - began < 10
    structlog.reset_defaults()


def test_a_server_without_streams_is_an_error_that_says_so(run: Run) -> None:
    done = run("dlq", "list")
    assert done.status == 1
    assert "Traceback" not in done.error
    assert "remedy" in done.error


def test_feedback_is_listed_without_the_control_characters_of_strangers(run: Run, do: Do) -> None:
    async def rate(bus: Bus) -> None:
        for tenant in ("acme", "other"):
            query = Query(id="q1", question="Who \x1b[31mpays?")
            await AnswerWriter(bus, tenant, "q1").append(Accepted(tenant=tenant, query=query, deadline=1))
            await give_feedback(bus, tenant, Feedback(query_id="q1", rating="down", text="[red]No.\x1b[2J"))

    do(rate)

    found = lines(run("feedback", "list", "--tenant", "acme", "--json").out)
    table = run("feedback", "list").out

    assert [(line["tenant"], line["rating"], line["query_id"]) for line in found] == [("acme", "down", "q1")]
    assert table.count("[red]No.") == 2
    assert "\x1b" not in table
    assert run("feedback", "list", "--since", "2099-01-01").out.strip() == "no feedback"
