"""What should not happen: each fault is told with its remedy, and the fleet goes on."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from fleet import DEMO, Fleet

from bus.documents import outcomes, publish_document
from bus.envelope import now_ms
from bus.topology import DLQ
from contracts import Document, Done, Failed, Rows

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUERY = json.dumps({"id": "%s", "question": "What can I ask here?", "route": "direct"})


def body(query_id: str) -> bytes:
    return (QUERY % query_id).encode()


async def publish(fleet: Fleet, query_id: str, raw: bytes, *, tenant: str = DEMO, **headers: str) -> Failed:
    """Publish on the public subject as a stranger would, and read how it ended."""
    stated = {"Nats-Msg-Id": f"{tenant}:{query_id}:query", "Af-Schema": "query/1"}
    stated |= {name.replace("_", "-"): value for name, value in headers.items()}
    await fleet.bus.js.publish(f"af.query.{tenant}", raw, headers=stated)
    last = await fleet.terminal(query_id, tenant=tenant)
    assert isinstance(last, Failed)
    assert last.problem.remedy
    return last


async def dead_letters(fleet: Fleet) -> int:
    return int((await fleet.bus.js.stream_info(DLQ.name)).state.messages)


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _goes_on(fleet: Fleet) -> AsyncIterator[None]:
    yield
    events = await fleet.ask("What can I ask here?", route="direct")
    assert isinstance(events[-1], Done)


async def test_broken_json_fails_on_the_log_and_is_kept_as_a_dead_letter(fleet: Fleet) -> None:
    before = await dead_letters(fleet)
    failed = await publish(fleet, "broken-json", b'{"id": "broken-json", "question": ')
    await fleet.idle()

    assert failed.problem.code == "undecodable"
    assert "query/1" in failed.problem.detail
    assert await dead_letters(fleet) == before + 1


async def test_a_misspelled_field_fails_and_is_named(fleet: Fleet) -> None:
    raw = json.dumps({"id": "misspelled", "question": "Why?", "questoin": "Why?"}).encode()

    assert "questoin" in (await publish(fleet, "misspelled", raw)).problem.detail


async def test_an_unknown_schema_version_fails_and_is_named(fleet: Fleet) -> None:
    failed = await publish(fleet, "schema-9", body("schema-9"), Af_Schema="query/9")

    assert failed.problem.code == "unsupported-schema"
    assert "query/9" in failed.problem.detail


async def test_an_unknown_tenant_fails_and_is_named(fleet: Fleet) -> None:
    failed = await publish(fleet, "stranger", body("stranger"), tenant="nobody")

    assert failed.problem.code == "unknown-tenant"
    assert "nobody" in failed.problem.detail


async def test_an_expired_deadline_fails_without_any_work(fleet: Fleet) -> None:
    passed = str(now_ms() - 1_000)
    failed = await publish(fleet, "expired", body("expired"), Af_Deadline=passed)

    assert failed.problem.code == "deadline-exceeded"
    assert passed in failed.problem.detail
    assert len(await fleet.log("expired")) == 1


async def test_a_pdf_that_is_not_one_is_reported_with_a_remedy(fleet: Fleet) -> None:
    document = Document(id="fake.pdf", media_type="application/pdf", content=b"bm90IGEgUERG")
    async with outcomes(fleet.bus, DEMO) as reported:
        await publish_document(fleet.bus, DEMO, document)
        outcome = await asyncio.wait_for(anext(reported), 20)

    assert (outcome.document_id, outcome.status) == ("fake.pdf", "failed")
    assert outcome.problem is not None
    assert outcome.problem.code == "invalid-document"
    assert outcome.problem.remedy


async def test_a_table_that_vanished_is_told_and_the_others_still_answer(fleet: Fleet) -> None:
    question = "How many ticket events are there?"
    (rows,) = [event for event in await fleet.ask(question, route="sql") if isinstance(event, Rows)]
    assert rows.rows == ((await fleet.value("select count(*) from support.ticket_events"),),)

    connection = await asyncpg.connect(fleet.stack.database.owner_dsn)
    await connection.execute("drop table support.ticket_events")
    await connection.close()
    last = (await fleet.ask(question, route="sql"))[-1]

    assert isinstance(last, Failed)
    assert last.problem.code == "schema-changed"
    assert "ticket_events" in last.problem.detail
    (rows,) = [e for e in await fleet.ask("How many tickets are there?", route="sql") if isinstance(e, Rows)]
    assert rows.rows == ((await fleet.value("select count(*) from support.tickets"),),)


async def test_a_generation_worker_without_its_model_file_names_the_path_and_exits_with_2(
    fleet: Fleet, tmp_path: Path
) -> None:
    path = str(tmp_path / "no-such-model.gguf")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "workers.generation",
        env={**os.environ, **fleet.stack.environment("generation"), "AF_ENGINE_MODEL_PATH": path},
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 2
    assert path in err.decode()
    assert "remedy" in err.decode()
