"""The pictures of the documentation: made here, and kept where PICTURES=1 asks for it."""

import os
from pathlib import Path

import pytest
from desk import ABSENT, OPERATOR_KEY, REFUND, RETURNS, SAMPLES, TENANT, Desk
from playwright.async_api import expect
from window import Window

from bus.answer_log import AnswerWriter
from bus.testing import eventually
from contracts import Citation, Delta, Done

pytestmark = pytest.mark.asyncio(loop_scope="session")

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE = {"width": 1100, "height": 980}
LARGEST_BYTES = 150_000
QUESTION = "Which regions sold the most this year, and how long do their refunds take?"
TEXT = (
    "The **North** sold the most this year, with 48,210.50, followed by the West with 39,120 [3].\n\n"
    "Refunds are paid back to the original card within 14 days after the parcel has reached the depot [1]. "
    "For that, the lamp goes back in its box, with the receipt and the number of the order [2]."
)
CITATIONS = (
    Citation(
        number=1, kind="passage", title="Refunds", source="handbook/refunds.md", chunk_id=REFUND.chunk_id
    ),
    Citation(number=2, kind="passage", title="Returns", source=RETURNS.source, chunk_id=RETURNS.chunk_id),
    Citation(number=3, kind="rows", title="Database"),
)


def folder(tmp_path: Path) -> Path:
    return IMAGES if os.environ.get("PICTURES") else tmp_path


async def write(desk: Desk, query_id: str) -> None:
    """The answer, as a worker with a good model writes it: nobody serves the model that was asked for."""

    async def found() -> bool:
        return {"evidence", "rows"} <= {event.type for event in await desk.log(query_id)}

    await eventually(found)
    writer = AnswerWriter(desk.bus, TENANT, query_id)
    writer.position = (await writer.read()).position
    for word in TEXT.split(" "):
        await writer.append(Delta(text=f"{word} "))
    await writer.append(Done(text=TEXT, citations=CITATIONS))


async def test_the_pages_have_their_picture_taken(window: Window, desk: Desk, tmp_path: Path) -> None:
    page = window.page
    await page.set_viewport_size(SIZE)
    turn = await window.ask(QUESTION, route="both", model=ABSENT)
    await write(desk, await window.turn_id(turn))
    await window.answered(turn)
    await expect(turn.locator("button.cite")).to_have_count(3)
    ask_page = folder(tmp_path) / "ask-page.png"
    await page.screenshot(path=ask_page)

    for sample in SAMPLES:
        await desk.ask(sample, route="both")
    await desk.bury(b'{"question": "How long do refunds take?", "top_k": "many"}')
    operator = await window.context.new_page()
    await operator.set_viewport_size(SIZE)
    await operator.goto(desk.operator_url)
    await operator.fill("#key-dialog input[name=key]", OPERATOR_KEY)
    await operator.press("#key-dialog input[name=key]", "Enter")
    await operator.locator("#answers tr", has_text=QUESTION).wait_for()
    await operator.locator("#letters table").wait_for()
    ops_page = folder(tmp_path) / "ops-page.png"
    await operator.screenshot(path=ops_page)
    await operator.close()

    assert all(1000 < picture.stat().st_size < LARGEST_BYTES for picture in (ask_page, ops_page))
