import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier

from contracts.query import Query, Route
from workers.catalogue.linking import SchemaIndex
from workers.catalogue.model import Column, Entity, SemanticModel
from workers.catalogue.vocabulary import Vocabulary
from workers.proportions import wilson
from workers.router import artefact, training
from workers.router.artefact import ArtefactRefused
from workers.router.calibration import Calibration
from workers.router.decision import Router, choose
from workers.router.evidence import Catalogue
from workers.router.features import words
from workers.router.forest import Forest
from workers.router.handler import handle
from workers.router.model import CLASSES, RouterModel
from workers.router.patterns import Note
from workers.router.settings import RouterSettings

SCHEMA = SchemaIndex(
    SemanticModel(
        entities=(
            Entity(
                "public",
                "tickets",
                "ticket",
                (
                    Column("id", "number", "id"),
                    Column("status", "text", values=("open", "closed")),
                    Column("created_at", "timestamp", "date"),
                    Column("reply_minutes", "number", "measure"),
                ),
            ),
            Entity("public", "agents", "agent", (Column("id", "number", "id"), Column("name", "text"))),
        ),
        joins=(),
    )
)
NOTES = (
    Note(
        "Redelivery", "The server sends a message again after the ack wait. A consumer counts its attempts."
    ),
    Note("Replicas", "A stream keeps up to five replicas of each message in a cluster of servers."),
    Note("Leaf nodes", "A leaf node connects a local server to a remote cluster with its own credentials."),
    Note("Storage", "File storage survives a restart, memory storage is lost when the server stops."),
)
BOTH = Catalogue(SCHEMA, Vocabulary(NOTES))


@pytest.fixture(scope="module")
def model() -> RouterModel:
    return training.train((), [training.Connected("t", BOTH, NOTES)], scale=0.12, trees=30).model


def test_the_flat_forest_equals_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(400, 12)).astype(np.float32)
    labels = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0).astype(int) + (rows[:, 3] > 1)
    fitted = RandomForestClassifier(30, random_state=1, min_samples_leaf=2).fit(rows, labels)
    flat = Forest.flatten(fitted)
    found = np.array([flat.probabilities(row) for row in rows])
    np.testing.assert_allclose(found, fitted.predict_proba(rows), atol=1e-6)


def test_calibration_is_monotone_and_sums_to_one() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 600)
    raw = rng.dirichlet(np.ones(3), 600)
    raw[np.arange(600), labels] += 1.0
    raw /= raw.sum(axis=1, keepdims=True)
    fitted = Calibration.fit(raw, labels)
    shares = np.linspace(0.02, 0.96, 40)
    rows = np.stack([shares, (1 - shares) / 2, (1 - shares) / 2], axis=1)
    found = fitted.apply(rows)
    assert (np.diff(found[:, 0]) > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("question", "route"),
    [
        ("how many tickets are open", Route.SQL),
        ("average reply minutes per status", Route.SQL),
        ("how many replicas does a stream keep", Route.DOCUMENTS),
        ("how do i configure a leaf node", Route.DOCUMENTS),
        ("hello, how are you?", Route.DIRECT),
    ],
)
def test_the_catalogue_tells_how_many_from_how_many(model: RouterModel, question: str, route: Route) -> None:
    assert Router(model).decide(question, catalogue=BOTH).route is route


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("how many tickets are open", "sql"),
        ("how many replicas does a stream keep", "documents"),
        ("hello how are you", "direct"),
    ],
)
def test_rules_decide_before_anything_is_trained(question: str, kind: str) -> None:
    decision = Router().decide(question, catalogue=BOTH)
    assert max(decision.probabilities, key=lambda name: decision.probabilities[name]) == kind
    assert decision.model_version == "rules"


def test_the_reason_names_the_evidence(model: RouterModel) -> None:
    by_schema = Router(model).decide("how many tickets are open", catalogue=BOTH)
    by_documents = Router(model).decide("how long is the ack wait", catalogue=BOTH)
    assert by_schema.reason == "'tickets' and 'open' are in the table tickets."
    assert by_documents.reason == "'ack wait' is in 1 passage."


def test_style_decides_nothing(model: RouterModel) -> None:
    plain = Router(model).decide("how many tickets are open", catalogue=BOTH)
    styled = Router(model).decide("HOW MANY 'Tickets', are open?!", catalogue=BOTH)
    assert styled == plain


@pytest.mark.parametrize(
    "catalogue", [Catalogue(), Catalogue(SCHEMA), Catalogue(None, Vocabulary(NOTES)), BOTH]
)
@pytest.mark.parametrize("question", ["?", "how many tickets are open", "\u4f60\u597d"])
def test_every_state_of_the_catalogue_gives_a_decision(
    model: RouterModel, question: str, catalogue: Catalogue
) -> None:
    for router in (Router(model), Router()):
        decision = router.decide(question, catalogue=catalogue)
        assert sum(decision.probabilities.values()) == pytest.approx(1.0)
        assert decision.reason


def test_without_a_database_nothing_is_sent_to_one(model: RouterModel) -> None:
    decision = Router(model).decide("how many tickets are open", catalogue=Catalogue(None, Vocabulary(NOTES)))
    assert decision.route is Route.DOCUMENTS


@pytest.mark.parametrize(
    ("documents", "sql", "direct", "route"),
    [
        (0.9, 0.1, 0.0, Route.DOCUMENTS),
        (0.1, 0.9, 0.0, Route.SQL),
        (0.5, 0.5, 0.0, Route.BOTH),
        (0.1, 0.1, 0.8, Route.DIRECT),
        (0.3, 0.3, 0.4, Route.BOTH),
        (0.2, 0.2, 0.6, Route.DIRECT),
    ],
)
def test_doubt_between_two_kinds_becomes_both(
    documents: float, sql: float, direct: float, route: Route
) -> None:
    assert choose({"documents": documents, "sql": sql, "direct": direct}, 0.7) is route


def test_an_artefact_comes_back_with_the_same_decisions(model: RouterModel) -> None:
    again = artefact.load(artefact.dump(model))
    question = words("how many tickets are open")
    np.testing.assert_allclose(again.by_text(question), model.by_text(question), atol=0.02)
    assert (again.version, again.fingerprint, again.metrics) == (
        model.version,
        BOTH.fingerprint,
        model.metrics,
    )


class Stranger:
    """A type of which an artefact has no need."""


@pytest.mark.parametrize(
    "raw",
    [b"", b"no zip", skops.io.dumps([1, 2]), skops.io.dumps({"description": Stranger(), "arrays": {}})],
    ids=["empty", "not a zip", "another shape", "an untrusted type"],
)
def test_what_is_not_an_artefact_is_refused(raw: bytes) -> None:
    with pytest.raises(ArtefactRefused, match="askfleet router train"):
        artefact.load(raw)


def test_an_artefact_of_other_features_is_refused() -> None:
    description = '{"format": "askfleet-router/1", "features": "0"}'
    with pytest.raises(ArtefactRefused, match="other features"):
        artefact.load(skops.io.dumps({"description": description, "arrays": {}}))


class OneCatalogue:
    def of(self, tenant: str) -> Catalogue:
        return BOTH if tenant == "acme" else Catalogue()


async def test_the_route_of_the_query_wins() -> None:
    query = Query(id="1", question="how many tickets are open", route=Route.DOCUMENTS)
    routed = await handle(query, tenant="acme", router=Router(), catalogues=OneCatalogue())
    assert routed.route is Route.DOCUMENTS
    assert routed.confidence == 1.0


async def test_a_routed_event_says_why_and_by_which_model() -> None:
    query = Query(id="1", question="how many tickets are open")
    routed = await handle(query, tenant="acme", router=Router(), catalogues=OneCatalogue())
    assert routed.route is Route.SQL
    assert set(routed.probabilities) == set(CLASSES)
    assert routed.model_version == "rules"
    assert "tickets" in routed.reason


def test_the_interval_of_a_share_narrows_with_the_count() -> None:
    few, many = wilson(9, 10), wilson(900, 1000)
    assert few[0] < many[0] < 0.9 < many[1] < few[1]


def test_every_setting_has_a_line_of_description() -> None:
    assert all(field.description for field in RouterSettings.model_fields.values())
