"""One query in, its route out."""

from typing import Protocol

from contracts.event import Routed
from contracts.query import Query
from workers.catalogue.vocabulary import content_words
from workers.catalogue.words import word_set
from workers.router.decision import Router
from workers.router.evidence import Catalogue
from workers.router.features import words

_POINTING = word_set("it its they them their those these that this he she his her one ones there same")
_FOLLOWING = frozenset(["and", "what about", "how about", "also"])


class Catalogues(Protocol):
    """What each tenant has connected, as last read."""

    def of(self, tenant: str) -> Catalogue: ...


async def handle(query: Query, *, tenant: str, router: Router, catalogues: Catalogues) -> Routed:
    """Decide the route; one that the query asks for wins.

    May run twice for one query, since a message can be delivered again: it only reads, and the second event
    is refused by the log's compare-and-set.
    """
    question = stand_alone(query)
    spoken = question if question != query.question else ""
    if query.route is not None:
        return Routed(
            route=query.route, confidence=1.0, reason="The query asks for this route.", question=spoken
        )
    decision = router.decide(question, catalogue=catalogues.of(tenant))
    return Routed(
        route=decision.route,
        confidence=min(1.0, decision.confidence),
        probabilities=dict(decision.probabilities),
        reason=decision.reason,
        question=spoken,
        model_version=decision.model_version,
    )


def stand_alone(query: Query) -> str:
    """With the question before it in front, where it points back: `and per month?`, `who made it?`."""
    before = next((turn.content for turn in reversed(query.history) if turn.role == "user"), "")
    found = words(query.question)
    opening = {" ".join(found[:1]), " ".join(found[:2])}
    points_back = not _POINTING.isdisjoint(found) and len(content_words(found)) <= 2
    if before and (points_back or not _FOLLOWING.isdisjoint(opening)):
        return f"{before.strip()} {query.question}"
    return query.question
