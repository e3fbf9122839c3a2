"""Feedback on answers as annotations of their traces in Phoenix."""

import asyncio
from collections.abc import Sequence

import httpx
import structlog

from bus.connection import Bus
from bus.envelope import now_ms
from bus.feedback import Given, read_feedback
from contracts.errors import AskfleetError, DependencyUnavailable

log = structlog.get_logger(__name__)

NAME = "feedback"
PERIOD_S = 2.0
OVERLAP_MS = 60_000
"""Feedback is read again for so long: sending it twice changes nothing, and its trace may come late."""
BATCH = 100
TIMEOUT_S = 10.0


async def annotate(client: httpx.AsyncClient, given: Sequence[Given]) -> int:
    """How many were sent: those whose answers have traces. A later word on an answer replaces the former.

    Raises DependencyUnavailable.
    """
    traced = [annotation(found) for found in given if found.trace_id]
    for start in range(0, len(traced), BATCH):
        body = {"data": traced[start : start + BATCH]}
        try:
            answer = await client.post("/v1/trace_annotations", json=body)
        except httpx.TransportError as error:
            raise DependencyUnavailable(
                f"Phoenix at {client.base_url} does not answer: {error!r}."
            ) from error
        if answer.is_error:
            raise DependencyUnavailable(f"Phoenix answered {answer.status_code}: {answer.text[:200]!r}.")
    return len(traced)


def annotation(given: Given) -> dict[str, object]:
    feedback = given.feedback
    result = {
        "label": feedback.rating,
        "score": 1.0 if feedback.rating == "up" else 0.0,
        "explanation": feedback.text or None,
    }
    named = {"tenant": given.tenant, "query_id": feedback.query_id, "right_route": feedback.route}
    return {
        "name": NAME,
        "annotator_kind": "HUMAN",
        "identifier": f"{given.tenant}:{feedback.query_id}",
        "trace_id": given.trace_id,
        "result": result,
        "metadata": {key: value for key, value in named.items() if value is not None},
    }


async def follow(bus: Bus, url: str) -> None:
    """Until it is cancelled, carry what readers say to Phoenix; a Phoenix that is away gets it later."""
    since_ms = now_ms() - OVERLAP_MS
    async with open_phoenix(url) as client:
        while True:
            began_ms = now_ms()
            try:
                given = [found async for found in read_feedback(bus, since_ms=since_ms)]
                await annotate(client, given)
                since_ms = began_ms - OVERLAP_MS
            except AskfleetError as error:
                log.info("feedback waits for Phoenix", action="annotations.waiting", error=error.detail)
            await asyncio.sleep(PERIOD_S)


def open_phoenix(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S)
