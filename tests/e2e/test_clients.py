"""Each client example, run as a person runs it."""

import asyncio
import re

import pytest
from clients import ASK_CURL, ASK_OPENAI, PUBLISH_PYTHON, Finished, framework_example, javascript_example, run
from components import DEV_DATA, missing
from conftest import ingest
from fleet import DEMO, DOCS, SIMULATED, Fleet

from askfleet.folder import Selection
from contracts import Cancelled, Evidence

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "How long does the warranty on a home battery last?"
FILE = "handbook/warranty.md"


async def over_nats(fleet: Fleet, command: tuple[str, ...]) -> Finished:
    environment = {
        "AF_NATS_URL": fleet.stack.record.nats_url,
        "AF_NATS_NKEY_FILE": str(fleet.stack.state.nats_keys.tenant(DEMO)),
        "AF_TENANT": DEMO,
    }
    return await run(command, QUESTION, env=environment)


def http(fleet: Fleet, *, bridge: int = 0, tenant: str = DEMO) -> dict[str, str]:
    return {"AF_URL": fleet.url(bridge), "AF_API_KEY": fleet.keys[tenant]}


def ids(finished: Finished) -> list[int]:
    return [int(found) for found in re.findall(r"^id: (\d+)$", finished.out, re.MULTILINE)]


async def test_the_python_example_reads_an_answer_with_its_sources(fleet: Fleet) -> None:
    finished = await over_nats(fleet, PUBLISH_PYTHON)

    assert finished.status == 0, finished.err
    assert finished.out.strip()
    assert FILE in finished.err


async def test_the_javascript_example_reads_an_answer_with_its_sources(fleet: Fleet) -> None:
    command = await asyncio.to_thread(javascript_example, "publish.js")
    finished = await over_nats(fleet, command)

    assert finished.status == 0, finished.err
    assert finished.out.strip()
    assert FILE in finished.err


async def test_the_curl_example_reads_an_answer_and_resumes_it_on_another_replica(fleet: Fleet) -> None:
    whole = await run(ASK_CURL, QUESTION, env=http(fleet) | {"AF_ID": "with-curl"})
    resumed = await run(ASK_CURL, "--resume", "with-curl", "3", env=http(fleet, bridge=1))

    assert (whole.status, resumed.status) == (0, 0), whole.err + resumed.err
    assert ids(whole) == list(range(1, len(ids(whole)) + 1))
    assert ids(resumed) == ids(whole)[3:]
    assert whole.out.endswith(resumed.out)


async def test_the_curl_example_cancels_an_answer(fleet: Fleet) -> None:
    body = {"id": "cancelled", "question": QUESTION, "model": SIMULATED, "route": "documents"}
    async with fleet.client() as client:
        asking = asyncio.create_task(client.post("/v1/ask", json=body))
        await fleet.accepted("cancelled")
        finished = await run(ASK_CURL, "--cancel", "cancelled", env=http(fleet))
        resumed = await run(ASK_CURL, "--resume", "cancelled", env=http(fleet))
        answer = await asking

    assert (finished.status, resumed.status) == (0, 1)
    assert answer.json()["status"] == "cancelled"
    assert isinstance(await fleet.terminal("cancelled"), Cancelled)


async def test_the_curl_example_tells_a_refusal_from_an_answer(fleet: Fleet) -> None:
    refused = await run(ASK_CURL, QUESTION, env=http(fleet) | {"AF_API_KEY": "wrong"})

    assert refused.status == 2
    assert '"code":"unauthorized"' in refused.out


async def test_openais_sdk_streams_an_answer_with_only_its_address_changed(fleet: Fleet) -> None:
    finished = await run(ASK_OPENAI, QUESTION, env=http(fleet))

    assert finished.status == 0, finished.err
    text, _, sources = finished.out.partition("\n[")
    assert text.strip()
    assert FILE in sources


async def test_openais_sdk_for_javascript_streams_an_answer_with_its_sources(fleet: Fleet) -> None:
    command = await asyncio.to_thread(javascript_example, "openai_client.js")
    finished = await run(command, QUESTION, env=http(fleet))

    assert finished.status == 0, finished.err
    text, _, sources = finished.out.partition("\n[")
    assert text.strip()
    assert FILE in sources


async def test_langchain_streams_an_answer_and_its_token_count(fleet: Fleet) -> None:
    finished = await run(framework_example("langchain_client.py"), QUESTION, env=http(fleet))

    assert finished.status == 0, finished.err
    text, _, tokens = finished.out.rpartition("\n(")
    assert text.strip()
    assert re.fullmatch(r"\d+ tokens\)\n", tokens)


async def test_llamaindex_streams_an_answer_with_its_sources(fleet: Fleet) -> None:
    finished = await run(framework_example("llamaindex_client.py"), QUESTION, env=http(fleet))

    assert finished.status == 0, finished.err
    text, _, sources = finished.out.partition("\n[")
    assert text.strip()
    assert FILE in sources


@pytest.mark.needs_data
async def test_openais_sdk_answers_from_documents_that_it_has_never_seen(fleet: Fleet) -> None:
    folder = DEV_DATA / "docs_markdown" / "nats" / "using-nats" / "developing-with-nats" / "reconnect"
    if not folder.is_dir():
        missing(f"there is no development data at {folder}")
    await ingest(fleet.stack, folder, Selection(include=("*.md",)), tenant=DOCS)

    question = "How many attempts does a client make to reconnect to a server?"
    events = await fleet.ask(question, tenant=DOCS, route="documents")
    finished = await run(ASK_OPENAI, question, env=http(fleet, tenant=DOCS))

    (evidence,) = [event for event in events if isinstance(event, Evidence)]
    assert "max.md" in {passage.document_id for passage in evidence.passages}
    assert finished.status == 0, finished.err
    text, _, sources = finished.out.partition("\n[")
    assert text.strip()
    assert "reconnect/" in sources
