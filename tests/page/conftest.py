"""One desk and one Chromium for all tests of the pages."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from components import missing
from desk import KEY, Desk, open_desk
from playwright.async_api import Browser, async_playwright
from window import Window, open_window

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing("There is no Chromium here")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield launched
        await launched.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def desk() -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        # Settings are read while it opens; later tests of the session must not see these.
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("AF_MILVUS_URI", "http://127.0.0.1:9")
            environment.setenv("AF_MILVUS_TIMEOUT_S", "0.2")
            opened = await stack.enter_async_context(open_desk())
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def window(browser: Browser, desk: Desk) -> AsyncIterator[Window]:
    """A page that was entered with a key. At the end of each test: no error, nothing foreign was wanted."""
    async with open_window(browser) as opened:
        await opened.enter(desk.url, KEY)
        yield opened
        assert opened.errors == []
        assert await opened.violations() == []
        assert {url for url in opened.requests if not url.startswith(desk.url)} == set()
