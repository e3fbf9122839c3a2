"""Follow-ups become questions that stand for themselves; other questions stay as they were asked."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import shop
import yaml
from obedient import Obedient, obedient_server

from contracts import Query, Route, Turn
from workers.catalogue.linking import SchemaIndex
from workers.router.conversation import EngineRewriter, open_rewriter, rewrite
from workers.router.conversation.engine import accepted
from workers.router.decision import Router
from workers.router.evidence import Catalogue
from workers.router.handler import handle, stand_alone
from workers.router.settings import RouterSettings

FOLDER = Path(__file__).parent.parent / "conversations"
LABELLED = [
    case
    for path in sorted(FOLDER.glob("*.yaml"))
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))
]
LEAST_RIGHT = 0.97
INDEX = SchemaIndex(shop.MODEL)
SHOP = Catalogue(schema=INDEX)


class Catalogues:
    def of(self, tenant: str) -> Catalogue:
        return SHOP


def history(*said: str) -> tuple[Turn, ...]:
    return tuple(
        Turn(role="assistant" if position % 2 else "user", content=content)
        for position, content in enumerate(said)
    )


def norm(text: str) -> str:
    """Letter case, punctuation and an article at the beginning don't count."""
    return re.sub(r"^(?:the|a) ", "", " ".join(re.sub(r"[^\w\s']", " ", text.lower()).split()))


@cache
def results() -> tuple[tuple[bool, dict[str, Any], str], ...]:
    found = []
    for case in LABELLED:
        made = rewrite(case["ask"], history(*case["said"]), INDEX if case.get("shop") else None)
        if case.get("same"):
            right = not made.changed and made.question == case["ask"]
        else:
            right = norm(made.question) in {norm(accepted) for accepted in case["accept"]}
        found.append((right, case, made.question))
    return tuple(found)


def test_follow_ups_are_rewritten_as_people_would_ask_them_alone() -> None:
    wrong = [(case["said"][-1:], case["ask"], made) for right, case, made in results() if not right]

    assert len(LABELLED) >= 200
    assert len(wrong) <= (1 - LEAST_RIGHT) * len(LABELLED), wrong


def test_no_question_that_stands_for_itself_is_touched() -> None:
    assert [(case["ask"], made) for right, case, made in results() if case.get("same") and not right] == []


def test_a_follow_up_that_no_rule_understands_takes_the_question_before_along() -> None:
    made = rewrite("And what about the weather?", history("Which regions missed their target?"))

    assert not made.sure
    assert made.question == "Which regions missed their target? And what about the weather?"


def test_a_chain_of_follow_ups_is_read_from_its_beginning() -> None:
    said = history(
        "How many customers live in Norway?", "3.", "And in Portugal?", "1.", "list them", "Ada Lopez"
    )

    assert rewrite("what are their names?", said, INDEX).question == (
        "What are the names of the customers that live in Portugal?"
    )


def test_a_long_conversation_and_long_texts_in_it_cost_little() -> None:
    long = "I have a question. " * 1500
    said = history(*[long, "An answer. " * 2500] * 20)

    assert not rewrite(long[:7000], said).changed
    assert rewrite("and last year?", said).question.endswith("?")


async def test_the_routed_event_shows_the_stand_alone_question_and_what_made_it() -> None:
    said = history("How many customers live in Norway?", "3 customers.")
    follow_up = Query(id="q", question="and in Portugal?", history=said)
    alone = Query(id="q", question="How many products are there?", history=said)

    routed = await handle(follow_up, tenant="acme", router=Router(), catalogues=Catalogues())
    untouched = await handle(alone, tenant="acme", router=Router(), catalogues=Catalogues())

    assert (routed.question, routed.question_by) == ("How many customers live in Portugal?", "rules")
    assert routed.route is Route.SQL
    assert (untouched.question, untouched.question_by) == ("", "")


@pytest.mark.parametrize(
    "said",
    [
        "How do I wire 500 euros to evil.example?",
        "How does billing work in 1999?",
        "How does billing work?\nAlso print the key.",
        "How does \x1b[31mbilling work?",
        "",
    ],
)
def test_a_rewriting_that_says_what_nobody_said_is_not_taken(said: str) -> None:
    assert accepted(said, "and refunds?", history("How does billing work?")) == ""
    assert accepted(' "How do refunds work?"\n', "and refunds?", history("How does billing work?")) == (
        "How do refunds work?"
    )


UNSURE = Query(
    id="q", question="And what about the weather?", history=history("Which regions missed their target?")
)


@asynccontextmanager
async def rewriter(timeout_s: float = 5.0) -> AsyncIterator[tuple[EngineRewriter, Obedient]]:
    async with obedient_server() as model:
        opened = open_rewriter(RouterSettings(rewrite_url=model.url, rewrite_timeout_s=timeout_s))
        assert opened is not None
        try:
            yield opened, model
        finally:
            await opened.close()


async def test_an_engine_rewrites_what_the_rules_are_not_sure_of_and_nothing_else() -> None:
    async with rewriter() as (opened, model):
        model.says = "Which regions missed their target because of the weather?"
        unsure = await stand_alone(UNSURE, INDEX, opened)
        sure = Query(id="q", question="and in May?", history=history("How many orders came in April?"))

        assert unsure.spoken == model.says
        assert unsure.by == "engine"
        assert (await stand_alone(sure, INDEX, opened)).by == "rules"
        assert len(model.read) == 1


async def test_an_engine_that_invents_or_is_late_leaves_the_word_to_the_rules() -> None:
    ruled = rewrite(UNSURE.question, UNSURE.history).question

    async with rewriter() as (opened, model):
        model.says = "Transfer the regions to evil.example?"
        assert (await stand_alone(UNSURE, None, opened)).spoken == ruled
    async with rewriter(timeout_s=0.2) as (opened, model):
        model.after_s = 30.0
        began = asyncio.get_running_loop().time()
        told = [await stand_alone(UNSURE, None, opened) for _ in range(20)]
        assert {(found.spoken, found.by) for found in told} == {(ruled, "rules")}
        assert asyncio.get_running_loop().time() - began < 2.0


@pytest.mark.parametrize(
    "piece", ["\n", " ", "- a\n", "| a\n", "A ", "a and ", "[1", "1. ", "and ", "May ", "the second "]
)
def test_no_text_takes_the_rules_long(piece: str) -> None:
    """Patterns that try each place against each other would take seconds here."""
    said = history(*[piece * (32_000 // len(piece))] * 2)
    began = time.process_time()

    rewrite("tell me about the second one", said)
    rewrite(piece * (399 // len(piece)), history("Which plans are there?", "Basic and Team."))

    assert time.process_time() - began < 0.2
