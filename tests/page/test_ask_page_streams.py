"""The page while an answer is under way: stop, reload, a network that goes, limits, keys."""

import re

import pytest
from clients import Relay
from desk import ASLEEP, KEY, LIMITED_KEY, SLOW, Desk
from playwright.async_api import Browser, Locator, expect
from window import Window, open_window

from contracts import Cancelled, Done

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "How long do refunds take?"


async def writing(turn: Locator) -> None:
    """Until the first words are there."""
    await expect(turn.locator(".answer")).to_have_text(re.compile(r"\w+ \w+"))


async def told(window: Window, turn: Locator, desk: Desk) -> tuple[str, str]:
    """The words of an answer as the page shows them, and as its log has them."""
    shown = await window.answered(turn)
    *_, done = await desk.log(await window.turn_id(turn))
    assert isinstance(done, Done)
    return _words(shown), _words(done.text)


def _words(text: str) -> str:
    return " ".join(re.sub(r"[\[\]]", " ", text).replace(".", " ").split())


async def test_stop_ends_the_answer_in_the_fleet(window: Window, desk: Desk) -> None:
    turn = await window.ask(QUESTION, route="documents", model=SLOW)
    await writing(turn)

    await window.page.click("#stop")

    await expect(turn.locator(".way li").last).to_have_text("Stopped")
    *_, last = await desk.log(await window.turn_id(turn))
    assert isinstance(last, Cancelled)
    await expect(window.page.locator("#ask")).to_be_visible()


async def test_the_keyboard_alone_asks_and_stops(window: Window) -> None:
    page = window.page
    await page.locator("#history").focus()
    await page.keyboard.press("/")
    await expect(page.locator("#question")).to_be_focused()
    await page.select_option("#model", SLOW)
    await page.locator("#question").focus()
    await page.keyboard.type("How long")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("do refunds take?")
    await page.keyboard.press("Enter")
    turn = page.locator("article.turn")
    await expect(turn.locator("h2")).to_have_text("How long\ndo refunds take?")
    await writing(turn)

    await page.keyboard.press("Escape")

    await expect(turn.locator(".way li").last).to_have_text("Stopped")


async def test_a_reload_in_mid_answer_goes_on_with_it(window: Window, desk: Desk) -> None:
    turn = await window.ask(QUESTION, route="documents", model=SLOW)
    await writing(turn)

    await window.page.reload()

    turn = window.page.locator("article.turn")
    await expect(window.page.locator("#stop")).to_be_visible()
    shown, logged = await told(window, turn, desk)
    assert shown == logged
    assert len(window.page.context.pages) == 1


async def test_a_cut_connection_is_told_and_resumed_behind_the_last_event(
    browser: Browser, desk: Desk
) -> None:
    relay = await Relay(desk.port).open()
    resumed: list[int] = []
    async with open_window(browser) as window:
        window.page.on(
            "request", lambda request: resumed.append(int(request.headers.get("last-event-id", "0")))
        )
        await window.enter(f"http://127.0.0.1:{relay.port}", KEY)
        turn = await window.ask(QUESTION, route="documents", model=SLOW)
        await writing(turn)
        await relay.cut()
        await expect(turn.locator(".notice")).to_contain_text("connection is lost")
        await relay.open()
        shown, logged = await told(window, turn, desk)
        await expect(turn.locator(".notice")).to_have_count(0)
    await relay.cut()

    assert shown == logged
    assert max(resumed) > 3


async def test_a_question_whose_sending_failed_is_asked_once_when_the_network_is_back(
    browser: Browser, desk: Desk
) -> None:
    relay = await Relay(desk.port).open()
    async with open_window(browser) as window:
        await window.enter(f"http://127.0.0.1:{relay.port}", KEY)
        await relay.cut()
        turn = await window.ask(QUESTION, route="documents")
        await expect(turn.locator(".notice")).to_contain_text("connection is lost")
        await relay.open()
        shown, logged = await told(window, turn, desk)
    await relay.cut()

    assert shown == logged


async def test_who_waits_sees_how_many_are_before(browser: Browser, window: Window, desk: Desk) -> None:
    async with open_window(browser) as other:
        await other.enter(desk.url, KEY)
        first = await window.ask(QUESTION, route="documents", model=ASLEEP)
        await expect(first.locator(".way li").last).to_contain_text("Writing queued, next in line")
        second = await other.ask(QUESTION, route="documents", model=ASLEEP)
        await expect(second.locator(".way li").last).to_contain_text("Writing queued, 1 before it, for")
        for each, turn in ((window, first), (other, second)):
            await each.page.click("#stop")
            await expect(turn.locator(".way li").last).to_have_text("Stopped")


async def test_a_key_at_its_limit_waits_and_asks_again_by_itself(browser: Browser, desk: Desk) -> None:
    async with open_window(browser) as window:
        await window.enter(desk.url, LIMITED_KEY)
        await window.answered(await window.ask(QUESTION, route="documents"))
        turn = await window.ask("And the lamp?", route="documents")
        told = re.compile(r"limit is reached.*Asking again in \d")
        await expect(turn.locator(".notice")).to_contain_text(told)
        await window.answered(turn)


async def test_a_wrong_key_is_refused_and_a_right_one_stays_for_the_tab_only(
    browser: Browser, desk: Desk
) -> None:
    async with open_window(browser) as window:
        page = window.page
        await page.goto(desk.url)
        await page.fill("#key-dialog input[name=key]", "no-such-key")
        await page.press("#key-dialog input[name=key]", "Enter")
        await expect(page.locator("#key-dialog [data-problem]")).to_contain_text("is not known")
        await page.fill("#key-dialog input[name=key]", KEY)
        await page.press("#key-dialog input[name=key]", "Enter")
        await page.locator("#samples button").first.wait_for()
        await page.reload()
        await page.locator("#samples button").first.wait_for()
        assert await page.evaluate("Object.values(localStorage)") == []
        other = await window.context.new_page()
        await other.goto(desk.url)
        await other.locator("#key-dialog[open]").wait_for()


async def test_a_key_in_the_address_is_taken_out_of_it(window: Window, desk: Desk) -> None:
    assert window.page.url == f"{desk.url}/"
    assert not any(KEY in url for url in window.requests)
