"""The page before the whole system, in a real Chromium: one question to each kind of source."""

import re
import shutil

import pytest
from components import missing
from fleet import DEMO, Fleet
from playwright.async_api import async_playwright, expect

from askfleet.local.stack import WORKERS

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMES = ("chromium", "chromium-browser", "google-chrome")


async def test_the_page_shows_answers_of_the_whole_system_and_the_operator_sees_their_stages(
    fleet: Fleet,
) -> None:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing("There is no Chromium here")
    expected = await fleet.value("select count(*) from support.tickets where status = 'open'")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(f"{fleet.url()}/#key={fleet.keys[DEMO]}")
        turns = page.locator("article.turn")

        await page.fill("#question", "How many tickets are open?")
        await page.press("#question", "Enter")
        await expect(turns.locator(".way li").last).to_have_text(re.compile("^Answered"), timeout=30_000)
        await expect(turns.locator(".rows td")).to_have_text([str(expected)])
        await page.click("#new")
        await page.fill("#question", "How long does the warranty on a home battery last?")
        await page.press("#question", "Enter")
        await expect(turns.locator(".way li").last).to_have_text(re.compile("^Answered"), timeout=30_000)
        await turns.locator("button.cite").first.click()
        await expect(turns.locator(".source-item[open]")).to_contain_text("handbook/warranty.md")

        operator = await browser.new_page()
        await operator.goto(fleet.stack.record.ops_url)
        await operator.fill("#key-dialog input[name=key]", fleet.stack.state.operator_key.read_text())
        await operator.press("#key-dialog input[name=key]", "Enter")
        row = operator.locator("#answers tr", has_text="How many tickets are open?")
        await expect(row.locator(".times")).to_contain_text(
            re.compile(r"router .*, search and SQL .*, writing")
        )
        # A second bridge and the simulated engine's worker are among them.
        await expect(operator.locator("#workers tbody tr")).to_have_count(len(WORKERS) + 2)
        await browser.close()
