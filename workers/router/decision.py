"""Where a question goes, how sure that is, and why."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.query import Route
from workers.catalogue.linking import Links
from workers.catalogue.vocabulary import Coverage
from workers.router import rules
from workers.router.evidence import Catalogue, Evidence, gather
from workers.router.features import words
from workers.router.model import CLASSES, RouterModel

_SHOWN_WORDS = 3


@dataclass(frozen=True)
class Decision:
    """`probabilities` by route, without `both`: that is what doubt between two of them becomes."""

    route: Route
    confidence: float
    probabilities: Mapping[str, float]
    reason: str
    model_version: str


class Router:
    """Decides with a trained model, or by rules while there is none."""

    def __init__(self, model: RouterModel | None = None, *, threshold: float | None = None) -> None:
        """Args: threshold, 0..1, replaces the one that training chose."""
        self._model = model
        self._threshold = threshold

    @property
    def version(self) -> str:
        return self._model.version if self._model else rules.VERSION

    def decide(self, question: str, *, catalogue: Catalogue) -> Decision:
        evidence = gather(words(question), catalogue)
        raw = self._probabilities(evidence, catalogue)
        probabilities = _reachable(raw, catalogue)
        route = choose(probabilities, self._limit(catalogue), can_join=_can_join(catalogue))
        confidence = max(probabilities.values())
        return Decision(route, confidence, probabilities, _reason(route, evidence), self.version)

    def _probabilities(self, evidence: Evidence, catalogue: Catalogue) -> dict[str, float]:
        if self._model is None:
            return rules.probabilities(evidence, catalogue)
        if catalogue.connected:
            found = self._model.by_catalogue(evidence)
        else:
            found = self._model.by_text(evidence.words)
        return dict(zip(CLASSES, found.tolist(), strict=True))

    def _limit(self, catalogue: Catalogue) -> float:
        if self._threshold is not None:
            return self._threshold
        if self._model is None:
            return rules.THRESHOLD
        return self._model.grounded.threshold if catalogue.connected else self._model.text.threshold


def choose(probabilities: Mapping[str, float], threshold: float, *, can_join: bool = True) -> Route:
    """The likeliest route; `both` where neither kind of evidence reaches the threshold.

    A question that is more likely small talk than either stays direct unless evidence in sum is likelier.
    """
    direct = probabilities[Route.DIRECT]
    best = max((Route.DOCUMENTS, Route.SQL), key=lambda route: probabilities[route])
    if direct >= threshold or direct > 1.0 - direct:
        return Route.DIRECT
    if probabilities[best] >= threshold or not can_join:
        return best
    return Route.BOTH


def _reachable(probabilities: dict[str, float], catalogue: Catalogue) -> dict[str, float]:
    """Without a database a question for it can only be looked up in the documents."""
    if catalogue.documents is None or catalogue.schema is not None:
        return probabilities
    moved = probabilities[Route.DOCUMENTS] + probabilities[Route.SQL]
    return {**probabilities, Route.DOCUMENTS.value: moved, Route.SQL.value: 0.0}


def _can_join(catalogue: Catalogue) -> bool:
    return not catalogue.connected or (catalogue.schema is not None and catalogue.documents is not None)


def _reason(route: Route, evidence: Evidence) -> str:
    schema = _schema_reason(evidence.links)
    documents = _documents_reason(evidence.coverage)
    if route is Route.DIRECT:
        return "The words ask for nothing that documents or tables would hold."
    if route is Route.SQL:
        return schema or "The sentence asks for figures or a list of records."
    if route is Route.DOCUMENTS:
        return documents or "The sentence asks for an explanation."
    found = [reason for reason in (schema, documents) if reason]
    return " ".join(found) or "The sentence fits documents as well as tables."


def _schema_reason(links: Links | None) -> str:
    if links is None or not links.links:
        return ""
    best = max(links.entities().items(), key=lambda item: item[1])[0]
    held = [
        " ".join(token.lower for token in links.tokens[found.first : found.last])
        for found in links.links
        if any(target.entity == best for target in found.targets)
    ][:_SHOWN_WORDS]
    return f"{_enumerated(held)} {'is' if len(held) == 1 else 'are'} in the table {best.rpartition('.')[2]}."


def _documents_reason(coverage: Coverage | None) -> str:
    if coverage is None or not coverage.phrase:
        return ""
    count = coverage.phrase_passages
    return f"'{coverage.phrase}' is in {count} {'passage' if count == 1 else 'passages'}."


def _enumerated(phrases: list[str]) -> str:
    quoted = [f"'{phrase}'" for phrase in phrases]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
