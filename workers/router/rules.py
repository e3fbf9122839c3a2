"""Decisions before anything is trained, so that a fresh system works at once.

Each kind of evidence collects points from the sentence form and from what is connected; the points become
shares by the softmax. The weights are rough on purpose: doubt becomes `both`, which costs time but no answer.
"""

import math

from workers.router.evidence import EVIDENCE_NAMES, Catalogue, Evidence
from workers.router.features import FORM_NAMES, form

VERSION = "rules"
THRESHOLD = 0.7

_SQL_FORMS = {
    "count": 1.0,
    "mean": 1.0,
    "per_group": 1.0,
    "superlative": 0.5,
    "ordering": 1.0,
    "opens_fetch": 1.0,
    "relative_time": 0.4,
    "comparison": 0.4,
    "amount": 0.4,
    "several_fields": 0.5,
}
_DOCUMENT_FORMS = {
    "how_to": 1.2,
    "reason": 1.0,
    "opens_explain": 1.0,
    "policy": 0.5,
    "configuration": 0.5,
    "help": 0.5,
    "permission": 0.5,
    "first_person": 0.4,
}
_DIRECT_FORMS = {
    "small_talk": 1.5,
    "chores": 0.8,
    "arithmetic": 1.0,
    "opens_chore": 0.6,
    "second_person": 0.3,
}


def probabilities(evidence: Evidence, catalogue: Catalogue) -> dict[str, float]:
    forms = dict(zip(FORM_NAMES, form(evidence.words), strict=True))
    found = dict(zip(EVIDENCE_NAMES, evidence.numbers, strict=True))
    points = {
        "sql": _points(forms, _SQL_FORMS) + 3.0 * found["schema_coverage"] + found["schema_entity"],
        "documents": _points(forms, _DOCUMENT_FORMS)
        + 3.0 * found["documents_best_passage"]
        + found["documents_headings"],
        "direct": _points(forms, _DIRECT_FORMS),
    }
    if catalogue.connected:
        points["direct"] += 2.0 * found["in_neither"] - 1.0
    total = sum(math.exp(value) for value in points.values())
    return {name: math.exp(value) / total for name, value in points.items()}


def _points(forms: dict[str, float], weights: dict[str, float]) -> float:
    return sum(weight * forms[name] for name, weight in weights.items())
