"""The operator's page in a real Chromium, beside a fleet in which each worker has the rights of its role."""

import re
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from desk import ABSENT, KEY, MARKUP, OPERATOR_KEY, Desk
from playwright.async_api import Browser, Page, expect
from window import Window, open_window

from bus.scaling import ScalingDecision, ScalingReport, ScalingState, answer_scaling
from bus.testing import eventually
from contracts import Cancelled

GROWING = ScalingState(
    scaled_object="generation-default",
    worker="generation",
    metric=184,
    target_value=80,
    desired=3,
    ready=2,
    starting=1,
    most=4,
    reason="ceil(184 / 80) = 3",
)
TO_ONE = ScalingDecision(
    at=1, scaled_object="generation-default", before=0, desired=1, metric=1, reason="1 > 0: KEDA activates"
)
TO_THREE = ScalingDecision(
    at=2, scaled_object="generation-default", before=2, desired=3, metric=184, reason="ceil(184 / 80) = 3"
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def ops(browser: Browser, desk: Desk) -> AsyncIterator[Window]:
    """The page, entered with the key. At the end: no error, nothing foreign was wanted."""
    async with open_window(browser, viewport={"width": 1180, "height": 900}) as opened:
        await opened.page.goto(desk.operator_url)
        await enter(opened.page, OPERATOR_KEY)
        await expect(opened.page.locator("#live")).to_have_text("Live")
        yield opened
        assert opened.errors == []
        assert await opened.violations() == []
        server = desk.operator_url.removesuffix("/ops")
        assert {url for url in opened.requests if not url.startswith(server)} == set()


async def enter(page: Page, key: str) -> None:
    await page.fill("#key-dialog input[name=key]", key)
    await page.press("#key-dialog input[name=key]", "Enter")


async def test_nothing_is_told_without_the_operators_key(browser: Browser, desk: Desk) -> None:
    server = desk.operator_url.removesuffix("/ops")
    async with httpx.AsyncClient(base_url=server) as client:
        for key in ("Bearer", f"Bearer {KEY}", f"Basic {OPERATOR_KEY}"):
            headers = {"authorization": key}
            for path in ("/ops/board", "/ops/letters", "/ops/letters/1"):
                assert (await client.get(path, headers=headers)).status_code == 401
            for path in ("/ops/letters/replay", "/ops/letters/purge", "/ops/cancel"):
                assert (await client.post(path, headers=headers, json={})).status_code == 401
    async with httpx.AsyncClient(base_url=desk.url) as client:
        assert (await client.get("/ops")).status_code == 404
    async with open_window(browser) as window:
        await window.page.goto(desk.operator_url)
        await enter(window.page, KEY)
        await expect(window.page.locator("#key-dialog [data-problem]")).to_contain_text("not known")


async def test_the_board_shows_stages_workers_and_the_times_of_an_answer(ops: Window, desk: Desk) -> None:
    await desk.ask("Which stage takes longest?", route="both")

    page = ops.page
    row = page.locator("#answers tr", has_text="Which stage takes longest?")
    await expect(row.locator(".state")).to_have_text("done")
    await expect(row.locator(".times")).to_contain_text(
        re.compile(r"router \d+ ms, search and SQL \d+ ms, first words \d+ ms, writing \d+ m?s")
    )
    for kind in ("router", "retrieval", "sql", "generation"):
        stage = page.get_by_role("article", name=kind, exact=True)
        await expect(stage.locator("dd").nth(2)).not_to_have_text("0")
    await expect(page.locator("#workers")).to_contain_text(re.compile("bridge-[0-9a-f]{8}"))


async def test_the_decisions_of_the_local_scaler_are_shown_and_elsewhere_the_lag_alone(
    ops: Window, desk: Desk
) -> None:
    scaling = ops.page.locator("#scaling")
    row = scaling.locator("tr", has_text="generation-default")
    await expect(scaling).to_contain_text("in a cluster KEDA decides")
    await expect(row.locator("td").nth(2)).to_have_text("80")
    await expect(scaling).not_to_contain_text("Last decisions")

    report = ScalingReport(at=time.time(), speed=60, states=(GROWING,), decisions=(TO_THREE, TO_ONE))
    async with answer_scaling(desk.bus, lambda: report):
        await expect(scaling).to_contain_text("KEDA's clock runs 60 times as fast")
        cells = await row.first.locator("td").all_inner_texts()
        assert cells[1:6] == ["184", "80", "3", "2 (1 starting)", "0 to 4"]
        assert cells[7] == "ceil(184 / 80) = 3"
        decisions = scaling.get_by_role("region", name="Table of decisions").locator("tbody tr")
        assert await decisions.locator("td:nth-child(3)").all_inner_texts() == ["2 to 3", "0 to 1"]
        assert await decisions.locator("td:nth-child(5)").all_inner_texts() == [
            TO_THREE.reason,
            TO_ONE.reason,
        ]
    await expect(scaling).to_contain_text("in a cluster KEDA decides")


async def test_an_answer_under_way_is_cancelled_after_a_question(ops: Window, desk: Desk) -> None:
    query_id = await desk.ask("Who wakes the sleeper?", route="documents", model=ABSENT)
    page = ops.page
    row = page.locator("#answers tr", has_text="Who wakes the sleeper?")
    await expect(row.locator(".times")).to_contain_text("search and SQL")

    await row.get_by_role("button", name="Cancel").click()
    await page.click("#sure-no")
    assert (await desk.log(query_id))[-1].type == "evidence"
    await row.get_by_role("button", name="Cancel").click()
    await page.click("#sure-yes")

    await expect(row.locator(".state")).to_have_text("cancelled")
    last = (await desk.log(query_id))[-1]
    assert isinstance(last, Cancelled)
    assert last.reason == "by the operator"


async def test_a_dead_letter_is_shown_replayed_and_purged(ops: Window, desk: Desk) -> None:
    await desk.bury(f'{{"question": "{MARKUP[:8]}", "nothing": 1}}'.encode())
    page = ops.page
    await page.select_option("#stage", "router")
    row = page.locator("#letters tbody tr").first
    number = await row.locator("td").nth(1).inner_text()
    await row.get_by_role("button", name="Show").click()
    await expect(page.locator("#letter-body")).to_contain_text('"nothing": 1')
    await page.click("#letter-close")

    before = await desk.dead()
    await row.get_by_role("checkbox").check()
    await page.click("#replay")
    await page.click("#sure-yes")
    await expect(page.locator("#live")).to_contain_text("Replayed 1 of 1")

    async def buried_again() -> bool:
        return await desk.dead() == before

    await eventually(buried_again)
    await expect(page.locator("#letters tbody tr")).to_have_count(1)
    await expect(page.locator("#letters tbody tr td").nth(1)).not_to_have_text(number)
    await page.locator("#letters thead input").check()
    await page.get_by_role("button", name=re.compile("^Purge ")).click()
    await page.click("#sure-no")
    assert await desk.dead() == before
    await page.get_by_role("button", name=re.compile("^Purge ")).click()
    await page.click("#sure-yes")
    await expect(page.locator("#letters")).to_have_text("Nothing was given up.")
    assert await desk.dead() == 0


async def test_hostile_dead_letters_and_questions_are_text(ops: Window, desk: Desk) -> None:
    await desk.ask(f"Who sends {MARKUP}", route="documents")
    await desk.bury(f"{MARKUP}".encode())

    page = ops.page
    await expect(page.locator("#answers")).to_contain_text("Who sends <img")
    row = page.locator("#letters tbody tr", has_text="<img")
    await row.get_by_role("button", name="Show").click()
    await expect(page.locator("#letter-body")).to_have_text(MARKUP)
    assert await page.locator("main img, main script").count() == 0
    assert await page.evaluate("window.hacked") is None


async def test_axe_finds_no_fault_in_the_operators_page(browser: Browser, desk: Desk) -> None:
    await desk.bury(b"not a query")
    async with open_window(browser, bypass_csp=True) as window:
        await window.page.goto(desk.operator_url)
        await enter(window.page, OPERATOR_KEY)
        await window.page.locator("#letters table").wait_for()
        assert await window.faults() == []
        await window.page.emulate_media(color_scheme="dark")
        assert await window.faults() == []


async def test_the_operators_page_fits_a_phone(browser: Browser, desk: Desk) -> None:
    async with open_window(browser, viewport={"width": 360, "height": 740}, is_mobile=True) as window:
        await window.page.goto(desk.operator_url)
        await enter(window.page, OPERATOR_KEY)
        await expect(window.page.locator("#live")).to_have_text("Live")
        assert not await window.scrolls_sideways()
