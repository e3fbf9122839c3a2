"""A second model beside the router in use: it decides on the same questions, and only the numbers show it."""

import asyncio

import pytest

from askfleet.shadowing import follow, judged
from askfleet.training import feedback_examples
from bus.answer_log import AnswerWriter
from bus.asking import publish_query
from bus.connection import Bus
from bus.envelope import now_ms
from bus.feedback import give_feedback
from bus.testing import eventually
from bus.topology import ANSWERS
from contracts import Accepted, Feedback, Query, Route, Routed
from workers.router import training
from workers.router.decision import Router
from workers.router.evidence import Catalogue
from workers.router.synth import Example

COUNT = "how many invoices were paid last month"
GREETING = "good morning how are you"
NOTHING = Catalogue()


@pytest.fixture(scope="module")
def router() -> Router:
    return Router(training.train(scale=0.1, trees=20).model, threshold=0.5)


async def routed(bus: Bus, query: Query, route: Route) -> None:
    writer = AnswerWriter(bus, "acme", query.id)
    await writer.append(Accepted(tenant="acme", query=query, deadline=1))
    await writer.append(Routed(route=route, confidence=0.9))


async def ask(bus: Bus, query: Query, route: Route) -> None:
    await publish_query(bus, "acme", query, deadline=now_ms() + 60_000)
    await routed(bus, query, route)


async def test_both_decide_on_the_same_questions_and_differences_are_shown(bus: Bus, router: Router) -> None:
    following = asyncio.create_task(follow(bus, router, lambda _: NOTHING, seconds=20, questions=2))
    before = len(bus.nc._subs)
    await eventually(lambda: len(bus.nc._subs) > before, within_s=5)
    await ask(bus, Query(id="q1", question=COUNT), Route.DOCUMENTS)
    await ask(bus, Query(id="q2", question=GREETING), Route.DIRECT)
    await ask(bus, Query(id="q3", question=COUNT, route=Route.DOCUMENTS), Route.DOCUMENTS)

    found = await following

    assert (found.questions, found.agreement, found.missed) == (2, 0.5, 0)
    (difference,) = found.differences
    assert (difference.question, difference.live, difference.shadow) == (COUNT, Route.DOCUMENTS, Route.SQL)
    assert (await bus.js.stream_info(ANSWERS.name)).state.messages == 6


async def test_feedback_tells_which_of_both_was_right(bus: Bus, router: Router) -> None:
    await routed(bus, Query(id="q1", question=COUNT), Route.DOCUMENTS)
    await routed(bus, Query(id="q2", question=GREETING), Route.DIRECT)
    await give_feedback(bus, "acme", Feedback(query_id="q1", rating="down", route=Route.SQL))
    await give_feedback(bus, "acme", Feedback(query_id="q2", rating="up", route=Route.DIRECT))

    found = await judged(bus, router, lambda _: NOTHING)

    assert (found.labels, found.live, found.shadow) == (2, 1, 2)


async def test_what_readers_named_becomes_examples_for_training(bus: Bus) -> None:
    await routed(bus, Query(id="q1", question=COUNT), Route.DOCUMENTS)
    await routed(bus, Query(id="q2", question=GREETING), Route.DIRECT)
    await give_feedback(bus, "acme", Feedback(query_id="q1", rating="down", route=Route.SQL))
    await give_feedback(bus, "acme", Feedback(query_id="q2", rating="up"))

    corrected = Example(COUNT, "sql", "feedback", f"feedback/{COUNT}")
    approved = Example(GREETING, "direct", "feedback", f"feedback/{GREETING}")
    assert await feedback_examples(bus) == [corrected, corrected, approved]
