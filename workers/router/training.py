"""From questions and catalogues to a router, with a report of how good it is on what it has not seen.

Everything that is measured or calibrated comes from cross-validation in which no group of examples (a
database, an article, a kind of request) is on both sides.
"""

import hashlib
import json
import math
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from contracts.errors import Misconfigured
from workers.catalogue.vocabulary import Extract, Vocabulary
from workers.router import patterns as pattern_file
from workers.router import synth
from workers.router.calibration import Calibration
from workers.router.evidence import Catalogue, gather
from workers.router.features import FEATURE_VERSION, hashed, words
from workers.router.forest import Forest
from workers.router.measures import Report, measure
from workers.router.model import CLASSES, RouterModel, Stage, grounded_row, text_row
from workers.router.ngrams import BUCKETS, SKELETON_START, Counted, NgramScorer, weighted
from workers.router.patterns import Patterns
from workers.router.synth import Example, Label

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
FOLDS = 5
TREES = 160
MAX_BOTH_SHARE = 0.12
_LABELS: dict[str, Label] = {
    "sql": "sql",
    "rag": "documents",
    "documents": "documents",
    "other": "direct",
    "direct": "direct",
}


@dataclass(frozen=True)
class Connected:
    """A tenant's catalogue with the passages that its vocabulary was built from."""

    name: str
    catalogue: Catalogue
    passages: tuple[Extract, ...] = ()


@dataclass(frozen=True)
class Grounded:
    """An example asked of a tenant that has this catalogue."""

    example: Example
    catalogue: Catalogue


@dataclass(frozen=True)
class Trained:
    model: RouterModel
    text: Report
    grounded: Report
    by_source_left_out: dict[str, float] = field(default_factory=dict)


def train(
    examples: Sequence[Example] = (),
    connected: Sequence[Connected] = (),
    *,
    seed: int = 7,
    scale: float = 1.0,
    trees: int = TREES,
    leave_sources_out: bool = False,
) -> Trained:
    """Train on synthesised questions and, if there are any, on collected ones.

    Args:
        examples: questions with known routes, such as exported tickets or feedback.
        connected: catalogues that the router will decide for; each gives questions of its own.
        scale: multiplies the number of synthesised questions.
        trees: of each of the two forests; fewer are faster and coarser.
        leave_sources_out: also measure each source of `examples` with a model that has seen none of it.
    """
    rng = random.Random(seed)  # noqa: S311 -- variety, not secrecy
    patterns = pattern_file.read()
    general = synth.general_examples(patterns, scale=scale, rng=rng)
    grounded = _grounded(patterns, connected, rng, scale)
    grounded += _idle_talk(examples, [item.catalogue for item in grounded], rng)
    own = [item.example for item in grounded if item.example.source.startswith("connected")]
    everything = [*general, *own, *examples]
    scorer, text, unseen = _train_text(everything, seed, trees)
    known = {id(item): row for item, row in zip(everything, unseen, strict=True)}
    rows = _grounded_rows(grounded, known, scorer, text)
    stage, of_grounded = _train_grounded([item.example for item in grounded], rows, _forest(seed, trees))
    report = measure(unseen, _numbers(everything), text.threshold, [item.source for item in everything])
    model = _model(
        scorer, text, stage, connected, {**report.summary("text"), **of_grounded.summary("grounded")}
    )
    left_out = _left_out(general, examples, seed) if leave_sources_out else {}
    return Trained(model, report, of_grounded, left_out)


def made_from(connected: Sequence[Connected], *, count: int, seed: int = 7) -> list[Example]:
    """The questions that `train` makes: `count` of each kind for each tenant, and general ones beside them.

    A question that needs documents and tables stands there twice, once with either label.
    """
    rng = random.Random(seed)  # noqa: S311 -- variety, not secrecy
    patterns = pattern_file.read()
    found = synth.general_examples(patterns, scale=count / 400, rng=rng)
    for tenant in connected:
        found += [item.example for item in _questions_of(tenant, patterns, rng, count, "connected")]
    return found


def fingerprint(connected: Sequence[Connected]) -> str:
    """Changes when the tables or documents of any tenant do; stands in the model that was made for them."""
    return ",".join(sorted(tenant.catalogue.fingerprint for tenant in connected))


def read_examples(path: Path) -> list[Example]:
    """Lines of `{"text", "label": sql|rag|other, "source", "group"}`; the last two may be left out.

    Raises:
        Misconfigured: the file can't be read, or a line is not of that shape; names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"The examples {path} can't be read: {error}.", remedy="Check the path."
        ) from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            text, label = str(raw["text"]), _LABELS[raw["label"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Misconfigured(
                f"{path}, line {number}: not a labelled question: {error!r}.",
                remedy='Each line is {"text": ..., "label": "sql", "rag" or "other"}.',
            ) from error
        source = str(raw.get("source", path.stem))
        found.append(Example(text, label, source, f"{source}/{raw.get('group', number)}"))
    return found


def fit_text(examples: Sequence[Example], seed: int) -> tuple[NgramScorer, Stage]:
    """The text part alone, as `train` makes it."""
    scorer, stage, _ = _train_text(examples, seed, TREES)
    return scorer, stage


def _train_text(examples: Sequence[Example], seed: int, trees: int) -> tuple[NgramScorer, Stage, Floats]:
    found = [words(example.text) for example in examples]
    counted = [hashed(spoken) for spoken in found]
    labels = _numbers(examples)
    folds = _folds([example.group for example in examples], seed)
    scores = np.zeros((len(found), 2 * len(CLASSES)))
    for held in folds:
        others = _others(held, len(found))
        scorer = _fit_scorer([counted[i] for i in others], labels[others])
        scores[held] = [scorer.scores_of(counted[i]) for i in held]
    rows = np.array([text_row(spoken, row) for spoken, row in zip(found, scores, strict=True)])
    stage, unseen = _fit_stage(rows, labels, folds, _forest(seed, trees))
    return _fit_scorer(counted, labels), stage, unseen


def _grounded_rows(
    items: Sequence[Grounded], known: dict[int, Floats], scorer: NgramScorer, text: Stage
) -> Floats:
    """`known` are text probabilities of examples, by identity, from a model that has not seen them."""
    rows = []
    for item in items:
        evidence = gather(words(item.example.text), item.catalogue)
        by_text = known.get(id(item.example))
        if by_text is None:
            by_text = text.probabilities(text_row(evidence.words, scorer.scores(evidence.words)))
        rows.append(grounded_row(evidence, by_text))
    return np.array(rows)


def _train_grounded(
    examples: Sequence[Example], rows: Floats, forest: RandomForestClassifier
) -> tuple[Stage, Report]:
    labels = _numbers(examples)
    folds = _folds([example.group for example in examples], int(forest.random_state))
    stage, unseen = _fit_stage(rows, labels, folds, forest)
    return stage, measure(unseen, labels, stage.threshold, [example.source for example in examples])


def _fit_stage(
    rows: Floats, labels: Labels, folds: list[Labels], forest: RandomForestClassifier
) -> tuple[Stage, Floats]:
    single = rows.astype(np.float32)
    raw = np.zeros((len(rows), len(CLASSES)))
    for held in folds:
        others = _others(held, len(rows))
        fitted = forest.fit(single[others], labels[others])
        raw[np.ix_(held, fitted.classes_)] = fitted.predict_proba(single[held])
    calibration = Calibration.fit(raw, labels)
    unseen = calibration.apply(raw)
    threshold = choose_threshold(unseen, labels)
    return Stage(Forest.flatten(forest.fit(single, labels)), calibration, threshold), unseen


def choose_threshold(unseen: Floats, labels: Labels) -> float:
    """The lowest threshold that no higher one betters by much, at most `MAX_BOTH_SHARE` of them both ways."""
    best, chosen = -1.0, 0.5
    for threshold in np.arange(0.50, 0.96, 0.02):
        report = measure(unseen, labels, float(threshold))
        if report.both_share <= MAX_BOTH_SHARE and report.effective > best + 0.001:
            best, chosen = report.effective, float(threshold)
    return chosen


def _forest(seed: int, trees: int) -> RandomForestClassifier:
    return RandomForestClassifier(
        trees, min_samples_leaf=3, max_features="sqrt", max_depth=16, random_state=seed, n_jobs=1
    )


def _fit_scorer(counted: Sequence[Counted], labels: Labels) -> NgramScorer:
    seen = np.bincount(np.concatenate([buckets for buckets, _ in counted]), minlength=BUCKETS)
    rarity = (np.log((1 + len(counted)) / (1 + seen)) + 1).astype(np.float32)
    rows = [weighted(one, rarity) for one in counted]
    ends = np.cumsum([0, *(len(buckets) for buckets, _ in rows)])
    matrix = sparse.csr_matrix(
        (np.concatenate([v for _, v in rows]), np.concatenate([b for b, _ in rows]), ends),
        shape=(len(counted), BUCKETS),
    )
    used = np.flatnonzero(seen)
    weights, offset = (
        np.zeros((BUCKETS, 2 * len(CLASSES)), np.float32),
        np.zeros(2 * len(CLASSES), np.float32),
    )
    for view, columns in enumerate((used, used[used >= SKELETON_START])):
        shown = matrix[:, columns]
        for position in range(len(CLASSES)):
            fitted = LogisticRegression(C=10.0, solver="liblinear", dual=True, tol=0.01, max_iter=2_000)
            fitted.fit(shown, labels == position)
            weights[columns, view * len(CLASSES) + position] = fitted.coef_[0]
            offset[view * len(CLASSES) + position] = fitted.intercept_[0]
    return NgramScorer(rarity, weights, offset)


def _grounded(
    patterns: Patterns, connected: Sequence[Connected], rng: random.Random, scale: float
) -> list[Grounded]:
    """Examples asked of our own worlds and of what is connected."""
    found: list[Grounded] = []
    for number, world in enumerate(patterns.worlds):
        # One world's schema beside the notes of all others, its own in every second tenant.
        others = [n for other in patterns.worlds if other is not world or number % 2 for n in other.notes]
        tenant = Connected(f"world-{number}", Catalogue(world.index, Vocabulary(others)), tuple(others))
        made = _questions_of(tenant, patterns, rng, round(60 * scale), "synthetic")
        found += [Grounded(item.example, _partly(item.catalogue, at)) for at, item in enumerate(made)]
    for tenant in connected:
        found += _questions_of(tenant, patterns, rng, round(400 * scale), "connected")
    return found


def _idle_talk(
    examples: Sequence[Example], catalogues: Sequence[Catalogue], rng: random.Random
) -> list[Grounded]:
    """Small talk is that whatever is connected; collected questions of other kinds belong to their tenant."""
    return [Grounded(example, rng.choice(catalogues)) for example in examples if example.label == "direct"]


def _partly(catalogue: Catalogue, position: int) -> Catalogue:
    """Each tenth question is asked of a tenant with documents only, each tenth of one with tables only."""
    if position % 10 == 3:
        return Catalogue(None, catalogue.documents)
    return Catalogue(catalogue.schema, None) if position % 10 == 7 else catalogue


def _questions_of(
    tenant: Connected, patterns: Patterns, rng: random.Random, count: int, source: str
) -> list[Grounded]:
    examples: list[Example] = []
    schema = tenant.catalogue.schema

    def add(texts: Iterable[str], label: Label, kind: str) -> None:
        """Groups of a connected tenant are parts of it, so that there is more than one."""
        for number, text in enumerate(texts):
            examples.append(
                Example(text, label, f"{source}-{kind}", f"{tenant.name}/{kind}/{number % FOLDS}")
            )

    if schema is not None:
        add(synth.sql_questions(schema.model, patterns, count, rng=rng), "sql", "sql")
    if tenant.passages:
        add(synth.document_questions(tenant.passages, patterns, count, rng=rng), "documents", "documents")
    if schema is not None and tenant.passages:
        for text in synth.joined_questions(schema.model, tenant.passages, patterns, count // 12, rng=rng):
            # Under both labels: the forest learns an even split, which the threshold turns into `both`.
            add([text], "sql", "joined")
            add([text], "documents", "joined")
    for kind in ("questions_of_help", "policy", "world"):
        add(synth.general_questions(kind, patterns, count // 8, rng=rng), "documents", "general")
    add(synth.general_questions("direct", patterns, count * 3 // 4, rng=rng), "direct", "direct")
    return [Grounded(example, tenant.catalogue) for example in examples]


def _left_out(general: Sequence[Example], examples: Sequence[Example], seed: int) -> dict[str, float]:
    """Accuracy on each collected source of a model that was trained without it."""
    by_source: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_source[example.source].append(example)
    found = {}
    for source, held in by_source.items():
        rest = [example for example in examples if example.source != source]
        scorer, stage = fit_text([*general, *rest], seed)
        hits = [_hit(example, scorer, stage) for example in held]
        found[source] = sum(hits) / len(hits)
    return found


def _hit(example: Example, scorer: NgramScorer, stage: Stage) -> bool:
    spoken = words(example.text)
    shares = stage.probabilities(text_row(spoken, scorer.scores(spoken)))
    return CLASSES[int(shares.argmax())] == example.label


def _folds(groups: Sequence[str], seed: int) -> list[Labels]:
    """Row numbers of each fold; a group lies in one fold, by a hash that doesn't change between runs."""
    fold_of = [int(hashlib.sha256(f"{seed}:{group}".encode()).hexdigest(), 16) % FOLDS for group in groups]
    folds = [np.flatnonzero(np.array(fold_of) == fold) for fold in range(FOLDS)]
    return [fold for fold in folds if len(fold)]


def _others(held: Labels, total: int) -> Labels:
    return np.setdiff1d(np.arange(total), held)


def _numbers(examples: Sequence[Example]) -> Labels:
    return np.array([CLASSES.index(example.label) for example in examples], dtype=np.int64)


def _model(
    scorer: NgramScorer,
    text: Stage,
    grounded: Stage,
    connected: Sequence[Connected],
    metrics: dict[str, float],
) -> RouterModel:
    created = int(time.time() * 1000)
    digest = hashlib.sha256(grounded.forest.threshold.tobytes() + scorer.weights.tobytes()).hexdigest()[:8]
    return RouterModel(
        version=f"forest-{FEATURE_VERSION}-{digest}",
        ngrams=scorer,
        text=text,
        grounded=grounded,
        fingerprint=fingerprint(connected),
        created=created,
        metrics={name: value for name, value in metrics.items() if not math.isnan(value)},
    )
