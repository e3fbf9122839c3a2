"""One query in, its route out."""

from typing import Protocol

from contracts.event import Routed
from contracts.query import Query
from workers.catalogue.linking import SchemaIndex
from workers.router.conversation import EngineRewriter, StandAlone, rewrite
from workers.router.decision import Router
from workers.router.evidence import Catalogue


class Catalogues(Protocol):
    """What each tenant has connected, as last read."""

    def of(self, tenant: str) -> Catalogue: ...


async def handle(
    query: Query,
    *,
    tenant: str,
    router: Router,
    catalogues: Catalogues,
    rewriter: EngineRewriter | None = None,
) -> Routed:
    """Decide the route; one that the query asks for wins.

    May run twice for one query, since a message can be delivered again: it only reads, and the second event
    is refused by the log's compare-and-set.

    Args:
        rewriter: asked for follow-ups that the rules are not sure of.
    """
    catalogue = catalogues.of(tenant)
    asked = (
        await stand_alone(query, catalogue.schema, rewriter) if query.history else StandAlone(query.question)
    )
    if query.route is not None:
        return Routed(
            route=query.route,
            confidence=1.0,
            reason="The query asks for this route.",
            question=asked.spoken,
            question_by=asked.by,
        )
    decision = router.decide(asked.question, catalogue=catalogue)
    return Routed(
        route=decision.route,
        confidence=min(1.0, decision.confidence),
        probabilities=dict(decision.probabilities),
        reason=decision.reason,
        question=asked.spoken,
        question_by=asked.by,
        model_version=decision.model_version,
    )


async def stand_alone(
    query: Query, schema: SchemaIndex | None = None, rewriter: EngineRewriter | None = None
) -> StandAlone:
    """The question without the conversation: by rules, or by the engine where these are not sure."""
    made = rewrite(query.question, query.history, schema)
    if not made.changed:
        return StandAlone(query.question)
    if not made.sure and rewriter is not None:
        said = await rewriter.rewrite(query.question, query.history)
        if said:
            return StandAlone(said, "engine")
    return StandAlone(made.question, "rules")
