"""What a scrape says after answers were given, on a real nats-server."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from bridges import bridge
from mini_fleet import MiniFleet, Pace, mini_fleet, settings_for
from prometheus_client.parser import text_string_to_metric_families

from bus.answer_log import read_log
from bus.connection import Bus, connect
from bus.consume import Source
from bus.delivery import Delivery
from bus.envelope import Envelope, now_ms
from bus.provision import provision
from bus.publish import publish
from bus.stage import run_stage
from bus.subjects import generate
from bus.testing import eventually
from bus.topology import GENERATE
from bus.vitals import Vitals, Written
from contracts import Done, GenerateJob, encode
from contracts.errors import DependencyUnavailable, InvalidQuery
from loadgen.hearing import Sources, open_hearing
from workers.shell.http import health_app, serve
from workers.shell.metrics import MOST_TENANTS, Metrics, open_metrics

Figures = dict[tuple[str, ...], float]


def figures(page: str | bytes) -> Figures:
    """By name and the values of the labels, which Prometheus orders by their names."""
    text = page.decode() if isinstance(page, bytes) else page
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
async def fleet(nats_url: str, tmp_path: Path) -> AsyncIterator[MiniFleet]:
    journal = tmp_path / "journal"
    async with connect(settings_for(nats_url), name="test") as bus:
        await provision(bus.js, bus.settings)
        async with (
            open_hearing(bus, Sources(journal)) as hearing,
            mini_fleet(bus, hearing, journal) as opened,
        ):
            yield opened


async def test_a_scrape_counts_answers_tokens_and_the_times_of_each_part(fleet: MiniFleet) -> None:
    fleet.pace = Pace(first_token_ms=60, interval_ms=10, tokens=12)
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(connect(fleet.bus.settings, name="measured"))
        metrics = await stack.enter_async_context(open_metrics(bus.vitals, worker="generation"))
        await fleet.start_router()
        await fleet.start_evidence()
        await fleet.start_generation(bus)
        stack.push_async_callback(fleet.close)

        queries = [fleet.query() for _ in range(3)]
        for query in queries:
            await fleet.publish(query)
        for query in queries:
            await fleet.ended(query)
        await eventually(
            lambda: figures(metrics.page())["askfleet_deliveries_total", "done", "generation"] == 3
        )
        await eventually(lambda: figures(metrics.page())[("askfleet_in_work",)] == 0)
        found = figures(metrics.page())
        said = [(await read_log(fleet.bus, "default", query.id)).terminal for query in queries]

    tokens = sum(done.usage.completion_tokens for done in said if isinstance(done, Done))
    assert found["askfleet_deliveries_total", "done", "generation"] == 3
    assert found["askfleet_answers_ended_total", "", "done"] == 3
    assert found["askfleet_queue_seconds_count", "generation"] == 3
    assert found["askfleet_answer_seconds_count", "documents"] == 3
    assert found["askfleet_tenant_answers_total", "default"] == 3
    assert found["askfleet_tokens_total", "simulated", "output"] == tokens == 36
    assert found["gen_ai_server_time_to_first_token_seconds_sum", "simulated"] >= 3 * 0.06
    assert found["gen_ai_server_time_per_output_token_seconds_sum", "simulated"] >= 3 * 0.009
    assert found["askfleet_event_loop_lag_seconds_count",] > 0


async def test_retries_and_dead_letters_are_counted(bus: Bus) -> None:
    async def work(delivery: Delivery[GenerateJob]) -> None:
        if delivery.body.query_id == "poison":
            raise InvalidQuery("It can't be done.")
        if delivery.attempt == 1:
            raise DependencyUnavailable("Not now.")

    async with open_metrics(bus.vitals, worker="generation") as metrics:
        async with run_stage(
            bus, Source(GENERATE.name, "generation-default", 4), GenerateJob, work, drain_grace_s=1
        ):
            for query_id in ("poison", "late"):
                headers = Envelope(deadline=now_ms() + 60_000).headers(
                    message_id=f"{query_id}:generate", schema="generate-job/1"
                )
                job = encode(GenerateJob(query_id=query_id, first_sequence=0))
                await publish(bus, generate("default", "acme"), job, headers=headers)
            done = ("askfleet_deliveries_total", "done", "generation")
            await eventually(lambda: figures(metrics.page())[done] == 1)
        found = figures(metrics.page())

    assert found["askfleet_deliveries_total", "buried", "generation"] == 1
    assert found["askfleet_deliveries_total", "retried", "generation"] == 1
    assert found["askfleet_redeliveries_total", "generation"] == 1
    assert found["askfleet_answers_ended_total", "invalid-query", "failed"] == 1


async def test_the_bridge_counts_whom_it_turned_away_and_who_resumed(bus: Bus, tmp_path: Path) -> None:
    async with bridge(bus, tmp_path, limits={"requests_per_s": 0.001, "burst": 1}) as client:
        asked = {"question": "When?", "id": "q1"}
        async with client.stream("POST", "/v1/ask", json=asked, headers={"accept": "text/event-stream"}):
            refused = await client.post("/v1/ask", json={"question": "When?"})
            async with client.stream("GET", "/v1/answers/q1", headers={"accept": "text/event-stream"}):
                found = figures((await client.get("/metrics")).text)

    assert refused.status_code == 429
    assert found["askfleet_turned_away_total", refused.json()["code"]] == 1
    assert found["askfleet_resumes_total",] == 1
    assert found["askfleet_readers",] == 2


async def test_tenants_beyond_a_bound_share_a_label() -> None:
    metrics = Metrics(Vitals(), worker="generation")
    for number in range(MOST_TENANTS + 5):
        metrics.observe(Written(f"t{number}", "sql", first_text_s=0.1, whole_s=0.2))

    found = figures(metrics.page())
    assert found["askfleet_tenant_answers_total", "other"] == 5
    assert sum(name[0] == "askfleet_tenant_answers_total" for name in found) == MOST_TENANTS + 1


async def test_a_worker_serves_its_figures_beside_its_probes() -> None:
    async with open_metrics(Vitals(), worker="sql") as metrics:
        app = health_app(lambda: {"started": True}, metrics.page)
        async with serve(app, host="127.0.0.1", port=0) as port, httpx.AsyncClient() as client:
            page = await client.get(f"http://127.0.0.1:{port}/metrics")

    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert figures(page.text)["askfleet_worker_info", "sql"] == 1
    assert figures(page.text)["process_resident_memory_bytes",] > 0
