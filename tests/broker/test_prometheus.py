"""A real Prometheus scrapes real workers; each query of the dashboard and of the alerts is run on it."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from components import missing
from mini_fleet import MiniFleet, Pace, mini_fleet, settings_for

from bus.connection import connect
from bus.presence import Identity, answer_pings
from bus.provision import provision
from bus.testing import eventually
from loadgen.hearing import Sources, open_hearing
from workers.ops.app import serve_ops
from workers.ops.settings import OpsSettings
from workers.shell.http import health_app, serve
from workers.shell.metrics import open_metrics

DEPLOY = Path(__file__).parents[2] / "deploy" / "observability"
WINDOW = "10s"
NEED_FAULTS = {"Failures by reason", "Refused at the door"}
"""Panels whose series come with the first fault."""


def panels() -> Iterator[tuple[str, str]]:
    """Title and query of every target of the dashboard."""
    for panel in json.loads((DEPLOY / "grafana-askfleet.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", WINDOW)


@contextmanager
def prometheus(folder: Path, targets: list[str]) -> Iterator[str]:
    """A server that scrapes `targets` twice a second; yields its address."""
    binary = shutil.which("prometheus") or missing("prometheus (Debian's package of that name)")
    scrape = {"job_name": "askfleet", "static_configs": [{"targets": targets}]}
    config = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "1s"},
        "rule_files": [str(DEPLOY / "rules.yml")],
        "scrape_configs": [scrape],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(
            [
                binary,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
            env={"PATH": os.environ["PATH"]},
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(10)


@pytest.fixture
async def scraped(nats_url: str, tmp_path: Path) -> AsyncIterator[tuple[MiniFleet, list[str]]]:
    """A generation worker, a bridge and the queues of a small fleet, and where each is scraped."""
    journal = tmp_path / "journal"
    async with AsyncExitStack() as stack:
        settings = settings_for(nats_url)
        bus = await stack.enter_async_context(connect(settings, name="test"))
        await provision(bus.js, bus.settings)
        hearing = await stack.enter_async_context(open_hearing(bus, Sources(journal)))
        fleet = await stack.enter_async_context(mini_fleet(bus, hearing, journal))
        fleet.pace = Pace(first_token_ms=5, interval_ms=5, tokens=8)
        worker = await stack.enter_async_context(connect(settings, name="generation"))
        metrics = await stack.enter_async_context(open_metrics(worker.vitals, worker="generation"))
        await stack.enter_async_context(answer_pings(worker, Identity("generation"), dict))
        await fleet.start_router()
        await fleet.start_evidence()
        await fleet.start_generation(worker)
        await fleet.start_bridge()
        stack.push_async_callback(fleet.close)
        page = health_app(lambda: {}, metrics.page)
        worker.vitals.http_port = await stack.enter_async_context(serve(page, host="127.0.0.1", port=0))
        ops = OpsSettings(nats_url=nats_url, queues_read_s=0.5)
        port, _ = await stack.enter_async_context(serve_ops(bus, ops))
        yield fleet, [f"127.0.0.1:{port}" for port in (worker.vitals.http_port, port, fleet.port)]


async def test_every_panel_and_every_rule_finds_its_series(
    scraped: tuple[MiniFleet, list[str]], tmp_path: Path
) -> None:
    fleet, targets = scraped
    with prometheus(tmp_path, targets) as url:
        async with httpx.AsyncClient(base_url=url, timeout=10) as client:

            async def found(expression: str) -> list[object]:
                reply = await client.get("/api/v1/query", params={"query": expression})
                assert reply.status_code == 200, f"{expression}: {reply.text}"
                return list(reply.json()["data"]["result"])

            async def scrapes() -> bool:
                return len(await found("up == 1")) == len(targets)

            async def answered() -> bool:
                await fleet.ask(fleet.query())
                return bool(await found(f"rate(askfleet_answers_ended_total[{WINDOW}]) > 0"))

            await eventually(lambda: _answers(client))
            await eventually(scrapes)
            await eventually(answered, within_s=20)
            empty = [title for title, expression in panels() if not await found(expression)]
            assert set(empty) <= NEED_FAULTS

            groups = (await client.get("/api/v1/rules")).json()["data"]["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            states = {rule["name"]: rule["state"] for rule in rules}
            assert len(states) == len(rules) > 0
            assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
            assert {name for name, state in states.items() if state != "inactive"} == set()


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/-/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def test_the_operators_worker_lists_whom_to_scrape(scraped: tuple[MiniFleet, list[str]]) -> None:
    _, (generation, ops, _) = scraped
    async with httpx.AsyncClient() as client:

        async def listed() -> bool:
            found = (await client.get(f"http://{ops}/prometheus/targets")).json()
            return bool(found == [{"targets": [generation], "labels": {"worker_kind": "generation"}}])

        await eventually(listed)


def test_each_alert_names_its_line_of_the_runbook() -> None:
    runbook = (DEPLOY.parents[1] / "docs" / "alerts.md").read_text()
    sections = {
        f"docs/alerts.md#{line[3:].lower()}" for line in runbook.splitlines() if line.startswith("## ")
    }
    groups = yaml.safe_load((DEPLOY / "rules.yml").read_text())["groups"]
    assert {rule["annotations"]["runbook"] for group in groups for rule in group["rules"]} == sections
