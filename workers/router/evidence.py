"""What a tenant's database and documents say about a question, as numbers and as the words that matched."""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from workers.catalogue.linking import Link, Links, SchemaIndex, link
from workers.catalogue.vocabulary import Coverage, Vocabulary, content_words
from workers.catalogue.words import root

EVIDENCE_NAMES: tuple[str, ...] = (
    "schema_connected",
    "schema_coverage",
    "schema_names",
    "schema_values",
    "schema_entity",
    "schema_entities",
    "schema_columns",
    "schema_value_links",
    "schema_strength",
    "documents_connected",
    "documents_known",
    "documents_best_passage",
    "documents_headings",
    "documents_pairs",
    "documents_rare_words",
    "only_schema",
    "only_documents",
    "in_both",
    "in_neither",
    "schema_lead",
)


@dataclass(frozen=True)
class Catalogue:
    """What is connected for a tenant; None where nothing is."""

    schema: SchemaIndex | None = None
    documents: Vocabulary | None = None

    @property
    def connected(self) -> bool:
        return self.schema is not None or self.documents is not None

    @property
    def fingerprint(self) -> str:
        """Changes when the tables or the sampled documents do."""
        tables = [entity.key for entity in self.schema.model.visible] if self.schema else []
        return f"{len(tables)}-{_hash_of(tables)}-{self.documents.fingerprint if self.documents else 'none'}"


@dataclass(frozen=True)
class Evidence:
    """`links` and `coverage` are None where nothing is connected."""

    words: tuple[str, ...]
    links: Links | None
    coverage: Coverage | None
    numbers: tuple[float, ...]


def _hash_of(names: Sequence[str]) -> str:
    return f"{crc32(' '.join(sorted(names)).encode()):08x}"


def gather(words: tuple[str, ...], catalogue: Catalogue) -> Evidence:
    """Match words, as `features.words` gives them: the schema must not see letter case or quotes either."""
    links = link(" ".join(words), catalogue.schema) if catalogue.schema else None
    coverage = catalogue.documents.cover(words) if catalogue.documents else None
    shares = _shares(words, links, catalogue.documents)
    schema = _schema_numbers(links)
    documents = _document_numbers(coverage)
    lead = schema[1] - (coverage.best_passage if coverage else 0.0)
    return Evidence(words, links, coverage, (*schema, *documents, *shares, lead))


def features(words: tuple[str, ...], catalogue: Catalogue) -> dict[str, float]:
    """The numbers by name, for people who ask why."""
    return dict(zip(EVIDENCE_NAMES, gather(words, catalogue).numbers, strict=True))


def _schema_numbers(links: Links | None) -> tuple[float, ...]:
    if links is None:
        return (0.0,) * 9
    entities = [_best(found, "entity") for found in links.links]
    columns = [_best(found, "column") for found in links.links]
    values = [found for found in links.links if found.of("value")]
    return (
        1.0,
        links.coverage,
        links.name_coverage,
        links.value_coverage,
        max(entities, default=0.0),
        float(sum(score > 0.8 for score in entities)),
        float(sum(score > 0.5 for score in columns)),
        float(len(values)),
        sum(found.score for found in links.links),
    )


def _best(found: Link, kind: str) -> float:
    return max((target.score for target in found.targets if target.kind == kind), default=0.0)


def _document_numbers(coverage: Coverage | None) -> tuple[float, ...]:
    if coverage is None:
        return (0.0,) * 6
    return (
        1.0,
        coverage.known,
        coverage.best_passage,
        coverage.headings,
        coverage.pairs,
        float(coverage.rare_words),
    )


def _shares(words: tuple[str, ...], links: Links | None, documents: Vocabulary | None) -> tuple[float, ...]:
    """Shares of the content words, by rarity: only the schema has them, only the documents, both, neither."""
    linked = _linked_words(links)
    totals = [0.0, 0.0, 0.0, 0.0]
    for word in content_words(words):
        term = root(word)
        weight = documents.weight(term) if documents else 1.0
        in_documents = documents is not None and documents.count(term) > 0
        in_schema = word in linked
        totals[2 if in_schema and in_documents else 0 if in_schema else 1 if in_documents else 3] += weight
    total = sum(totals)
    if total == 0.0:
        return (0.0, 0.0, 0.0, 1.0)
    return tuple(share / total for share in totals)


def _linked_words(links: Links | None) -> set[str]:
    if links is None:
        return set()
    return {token.lower for found in links.links for token in links.tokens[found.first : found.last]}
