"""The page for the person who asks, in a real Chromium: what it shows of each kind of answer."""

import re

import httpx
import pytest
from desk import HOSTILE, KEY, MARKUP, REFUND, RETURNS, SALES, SAMPLES, TENANT, Desk
from playwright.async_api import Browser, expect
from window import Window, open_window

from bus.feedback import read_feedback
from bus.testing import eventually
from contracts import Accepted, Done, Turn
from contracts.query import Route

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST_PAINT_BYTES = 100_000
PHONE = {"width": 360, "height": 740}


async def test_an_answer_from_documents_cites_passages_that_open(window: Window) -> None:
    turn = await window.ask("How long do refunds take?", route="documents")
    await window.answered(turn)

    await expect(turn.locator(".way")).to_contain_text("2 passages")
    passage = turn.locator(".source-item").first.locator(".passage")
    await expect(passage).to_be_hidden()
    await turn.get_by_role("button", name="Source 1").first.click()
    await expect(passage).to_be_visible()
    await expect(passage).to_have_text(REFUND.text)
    await turn.locator(".source-item summary").nth(1).click()
    await expect(turn.get_by_role("link", name=RETURNS.source)).to_have_attribute(
        "rel", "noopener noreferrer"
    )


async def test_an_answer_from_the_database_has_its_statement_rows_and_a_chart(window: Window) -> None:
    turn = await window.ask("Which regions sold the most this year?", route="sql")
    await window.answered(turn)

    await expect(turn.get_by_role("img")).to_have_attribute(
        "aria-label", re.compile("revenue by region: 4 values, the highest is North")
    )
    await expect(turn.locator("table tbody tr").first).to_contain_text("North")
    await turn.locator(".statement summary", has_text="SQL").click()
    await expect(turn.locator(".rows pre")).to_have_text(SALES.statement or "")


async def test_an_answer_from_both_shows_both(window: Window) -> None:
    turn = await window.ask("Which regions sold the most, and how long do refunds take?", route="both")
    await window.answered(turn)

    await expect(turn.locator(".way")).to_contain_text("2 passages")
    await expect(turn.locator(".way")).to_contain_text("4 rows")
    await turn.locator(".why summary").click()
    await expect(turn.locator(".why")).to_contain_text("asks for this route")


async def test_what_nothing_here_can_answer_is_said_as_such(window: Window) -> None:
    turn = await window.ask("What is the capital of France?", route="both")

    await expect(turn.locator(".notice")).to_contain_text("do not hold an answer")
    await expect(turn.locator(".way")).to_contain_text("No passages")


async def test_hostile_content_is_text_wherever_it_comes_from(window: Window) -> None:
    turn = await window.ask(f"A hostile question {MARKUP}", route="both")
    await window.answered(turn)

    await expect(turn.locator("h2")).to_contain_text("<script>")
    await expect(turn.locator(".answer")).to_contain_text("<img")
    for summary in await turn.locator("summary").all():
        await summary.click()
    await expect(turn.locator(".passage").first).to_have_text(HOSTILE.text)
    assert await turn.locator("img, script, iframe, a[href^='javascript']").count() == 0
    await window.page.reload()
    await window.answered(window.page.locator("article.turn").last)
    await window.page.click("#history")
    await expect(window.page.locator("#history-list")).to_contain_text("<script>")
    assert await window.page.evaluate("window.hacked") is None


async def test_a_follow_up_carries_the_conversation(window: Window, desk: Desk) -> None:
    first = await window.ask("How long do refunds take?", route="documents")
    text = await window.answered(first)
    second = await window.ask("And who pays?", route="documents")
    await window.answered(second)

    accepted, *_ = await desk.log(await window.turn_id(second))
    assert isinstance(accepted, Accepted)
    asked, told = accepted.query.history
    assert asked == Turn(role="user", content="How long do refunds take?")
    assert told.role == "assistant"
    assert told.content.split()[:3] == text.split()[:3]


async def test_history_stays_in_the_browser_until_it_is_cleared(window: Window) -> None:
    page = window.page
    await window.answered(await window.ask("How long do refunds take?", route="documents"))
    await page.click("#new")
    await window.answered(await window.ask("Which regions sold the most?", route="sql"))
    await page.click("#new")
    await expect(page.locator("#samples button")).to_have_text(list(SAMPLES))

    await page.click("#history")
    await page.locator("#history-list button", has_text="refunds").click()
    await expect(page.locator("article.turn h2")).to_have_text("How long do refunds take?")
    await page.get_by_role("button", name="Source 1").first.click()
    await expect(page.locator(".passage").first).to_have_text(REFUND.text)
    await page.click("#history")
    await page.click("#history-clear")
    await page.click("#history")
    await expect(page.locator("#history-list")).to_have_text("Nothing yet.")
    assert await page.evaluate("Object.keys(localStorage).filter((name) => name.includes('history'))") == []


async def test_an_opinion_goes_to_the_fleet(window: Window, desk: Desk) -> None:
    turn = await window.ask("How long do refunds take?", route="documents")
    await window.answered(turn)
    query_id = await window.turn_id(turn)

    await turn.get_by_role("button", name="Not helpful").click()
    await turn.get_by_label("What was wrong?").fill("The number is old.")
    await turn.get_by_label("Right sources").select_option("sql")
    await turn.get_by_role("button", name="Send").click()
    await expect(turn.locator(".deeds .took")).to_have_text("Thank you")

    async def kept() -> bool:
        given = [found.feedback async for found in read_feedback(desk.bus, tenant=TENANT)]
        (found,) = [feedback for feedback in given if feedback.query_id == query_id]
        return (found.rating, found.text, found.route) == ("down", "The number is old.", Route.SQL)

    await eventually(kept)


async def test_an_answer_is_copied_with_its_sources(window: Window) -> None:
    await window.context.grant_permissions(["clipboard-read", "clipboard-write"])
    turn = await window.ask("How long do refunds take?", route="documents")
    await window.answered(turn)

    await turn.get_by_role("button", name="Copy").click()

    await expect(turn.get_by_role("button", name="Copied")).to_be_visible()
    copied = await window.page.evaluate("navigator.clipboard.readText()")
    assert f"{REFUND.heading_path[-1]}, {REFUND.source}" in copied


async def test_screen_readers_hear_the_whole_answer_and_its_end(window: Window, desk: Desk) -> None:
    await window.page.evaluate("""() => {
        window.heard = [];
        const spoken = document.querySelector("[aria-live=polite]");
        new MutationObserver(() => window.heard.push(spoken.textContent)).observe(spoken, {childList: true});
    }""")
    turn = await window.ask("How long do refunds take?", route="documents", model="slow")
    await window.answered(turn)

    *_, done = await desk.log(await window.turn_id(turn))
    assert isinstance(done, Done)
    heard = await window.page.evaluate("window.heard")
    assert "".join(heard) == re.sub(r"\[\d+\]", "", done.text)
    assert 2 <= len([text for text in heard if text]) <= 4
    await expect(window.page.locator("#status")).to_have_text("The answer is complete")


async def test_axe_finds_no_fault_in_any_state_of_the_page(browser: Browser, desk: Desk) -> None:
    async with open_window(browser, bypass_csp=True) as window:
        page = window.page
        await page.goto(desk.url)
        await page.locator("#key-dialog[open]").wait_for()
        assert await window.faults() == []
        await page.fill("#key-dialog input[name=key]", KEY)
        await page.press("#key-dialog input[name=key]", "Enter")
        await page.locator("#samples button").first.wait_for()
        assert await window.faults() == []
        turn = await window.ask("Which regions sold the most, and how long do refunds take?", route="both")
        await window.answered(turn)
        for summary in await turn.locator("summary").all():
            await summary.click()
        await turn.get_by_role("button", name="Not helpful").click()
        assert await window.faults() == []
        await page.emulate_media(color_scheme="dark")
        assert await window.faults() == []


async def test_a_phone_shows_all_of_it_without_scrolling_sideways(browser: Browser, desk: Desk) -> None:
    async with open_window(browser, viewport=PHONE, is_mobile=True, has_touch=True) as window:
        await window.enter(desk.url, KEY)
        assert not await window.scrolls_sideways()
        turn = await window.ask("Which regions sold the most, and how long do refunds take?", route="both")
        await window.answered(turn)
        for summary in await turn.locator("summary").all():
            await summary.click()
        assert not await window.scrolls_sideways()
        hostile = await window.ask("A hostile question", route="both")
        await window.answered(hostile)
        assert not await window.scrolls_sideways()
        await window.page.click("#history")
        assert not await window.scrolls_sideways()


async def test_first_paint_with_nothing_cached_stays_small(browser: Browser, desk: Desk) -> None:
    async with open_window(browser) as window:
        await window.enter(desk.url, KEY)
        async with httpx.AsyncClient(base_url=desk.url) as client:
            pages = [url for url in set(window.requests) if "/v1/" not in url]
            bodies = [await client.get(url.split("#")[0]) for url in pages]

    assert sum(len(body.content) + 400 for body in bodies) < FIRST_PAINT_BYTES
    assert len(bodies) > 5


async def test_the_browser_is_told_to_run_nothing_but_the_pages_own_scripts(desk: Desk) -> None:
    async with httpx.AsyncClient(base_url=desk.url) as client:
        found = await client.get("/")
        again = await client.get("/", headers={"if-none-match": found.headers["etag"]})

    policy = found.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert found.headers["x-content-type-options"] == "nosniff"
    assert again.status_code == 304
    assert again.content == b""
