"""A page in Chromium, watched for what it must never do."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


@dataclass
class Window:
    """A page, and what it must not do: complain, break its policy, or ask anybody but its own server."""

    page: Page
    context: BrowserContext
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    async def enter(self, url: str, key: str) -> None:
        """Open the page with a key in its address, and wait until it can be asked."""
        await self.page.goto(f"{url}/#key={key}")
        await self.page.locator("#samples button").first.wait_for()

    async def ask(self, question: str, *, route: str = "", model: str = "default") -> Locator:
        """As a person does; returns the answer's article."""
        await self.page.select_option("#route", route)
        await self.page.select_option("#model", model)
        await self.page.fill("#question", question)
        await self.page.press("#question", "Enter")
        return self.page.locator("article.turn").last

    async def answered(self, turn: Locator) -> str:
        """Once the answer is whole: its text without the citations' numbers as they stand on the page."""
        await expect(turn.locator(".way li").last).to_have_text(re.compile("^Answered"), timeout=15_000)
        return await turn.locator(".answer").inner_text()

    async def turn_id(self, turn: Locator) -> str:
        heading = await turn.get_attribute("aria-labelledby")
        return str(heading).removeprefix("question-")

    async def scrolls_sideways(self) -> bool:
        return bool(
            await self.page.evaluate(
                "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            )
        )

    async def faults(self) -> list[str]:
        """What axe finds wrong for people who see, hear or move otherwise; needs a window without policy."""
        found = (await Axe().run(self.page)).response["violations"]
        return [f"{fault['id']}: {node['html'][:200]}" for fault in found for node in fault["nodes"]]

    async def violations(self) -> list[str]:
        return await self.page.evaluate("window.violations")


@asynccontextmanager
async def open_window(browser: Browser, **options: object) -> AsyncIterator[Window]:
    context = await browser.new_context(**{"reduced_motion": "reduce", **options})  # type: ignore[arg-type]
    context.set_default_timeout(10_000)
    await context.add_init_script(WATCH)
    window = Window(await context.new_page(), context)
    window.page.on("pageerror", lambda error: window.errors.append(str(error)))
    window.page.on("request", lambda request: window.requests.append(request.url))
    try:
        yield window
    finally:
        await context.close()
