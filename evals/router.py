"""Accuracy of the router on labelled questions: `python -m evals.router`.

Text only: every *.jsonl of `--data` but train.jsonl is a test set, asked in lower case and without
punctuation of a model trained on train.jsonl and synthesised questions. Grounded (`--grounded`): tenants are
made of each database in ../text2sql with each corpus in ../retrieval beside `--data`; the questions of both
are asked of the tenant. No question that is asked is in the training set, whichever file it came from. Times
are CPU time of the thread, so that other work on the machine does not count.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from askfleet.embedded.postgres import PostgresServer
from contracts.errors import Misconfigured
from contracts.query import Route
from evals.phoenix import Case, upload
from workers.catalogue.introspection import introspect
from workers.catalogue.linking import SchemaIndex
from workers.catalogue.vocabulary import Vocabulary
from workers.proportions import wilson
from workers.router import training
from workers.router.decision import Decision, Router
from workers.router.evidence import Catalogue
from workers.router.features import words
from workers.router.patterns import Note
from workers.router.synth import Example
from workers.router.training import Connected

_DIRECT_PER_TENANT = 20
_DOCUMENTS_PER_TENANT = 60


@dataclass(frozen=True)
class Asked:
    """A question, where it belongs, and whom it is asked of."""

    example: Example
    catalogue: Catalogue


@dataclass(frozen=True)
class Tenant:
    connected: Connected
    asked: tuple[Asked, ...]


@dataclass(frozen=True)
class Result:
    asked: Asked
    decision: Decision
    cpu_ms: float

    @property
    def hit(self) -> bool:
        """The likeliest kind is right, whatever the threshold made of it."""
        shares = self.decision.probabilities
        return max(shares, key=lambda kind: shares[kind]) == self.asked.example.label

    @property
    def effective(self) -> bool:
        """The route, or `both`, gathers the evidence that is needed."""
        route, label = self.decision.route, self.asked.example.label
        return route.value == label or (route is Route.BOTH and label != "direct")


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    tests = {path.name: training.read_examples(path) for path in _test_files(options.data)}
    if not tests:
        raise Misconfigured(f"There is no test set in {options.data}.", remedy="Name a folder with --data.")
    direct = [found for file in tests.values() for found in file if found.label == "direct"]
    tenants = asyncio.run(_tenants(options.data.parent, direct)) if options.grounded else []
    asked = {name: [Asked(found, Catalogue()) for found in file] for name, file in tests.items()}
    if tenants:
        asked["grounded"] = [item for tenant in tenants for item in tenant.asked]
    trained = _train(options, tenants, asked)
    router = Router(trained.model)
    results = {name: [_decide(router, item) for item in items] for name, items in asked.items()}
    if options.json:
        print(json.dumps(_report(results, trained.by_source_left_out)))
    else:
        _show(results, trained.by_source_left_out, failures=options.failures)
    if options.phoenix:
        about = {"version": trained.model.version}
        print(upload(options.phoenix, "router", cases(results), settings=about), file=sys.stderr)


def cases(results: Mapping[str, Sequence[Result]]) -> list[Case]:
    return [
        Case(
            asked={"question": result.asked.example.text, "file": name},
            wanted={"label": result.asked.example.label},
            came={"route": result.decision.route.value, "confidence": result.decision.confidence},
            scores={"accurate": float(result.hit), "effective": float(result.effective)},
            about={"source": result.asked.example.source},
        )
        for name, found in results.items()
        for result in found
    ]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dev/routing"))
    parser.add_argument(
        "--grounded", action="store_true", help="also ask tenants with databases and documents"
    )
    parser.add_argument(
        "--synthetic", action="store_true", help="train without train.jsonl, as a fresh system does"
    )
    parser.add_argument(
        "--leave-source-out", action="store_true", help="also train without each source in turn"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of the synthesised questions")
    parser.add_argument(
        "--failures", type=int, default=40, help="failures that are printed for each test set"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--phoenix", default="", help="address of a Phoenix that keeps this as an experiment")
    return parser.parse_args(arguments)


def _test_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.jsonl")) if path.name != "train.jsonl"]


def _train(
    options: argparse.Namespace, tenants: Sequence[Tenant], asked: dict[str, list[Asked]]
) -> training.Trained:
    collected: list[Example] = []
    if not options.synthetic and (options.data / "train.jsonl").exists():
        held = {words(item.example.text) for items in asked.values() for item in items}
        found = training.read_examples(options.data / "train.jsonl")
        collected = [example for example in found if words(example.text) not in held]
    return training.train(
        collected,
        [tenant.connected for tenant in tenants],
        seed=options.seed,
        scale=options.scale,
        leave_sources_out=options.leave_source_out,
    )


def _decide(router: Router, asked: Asked) -> Result:
    question = " ".join(words(asked.example.text))
    start = time.thread_time()
    decision = router.decide(question, catalogue=asked.catalogue)
    return Result(asked, decision, (time.thread_time() - start) * 1000)


async def _tenants(folder: Path, direct: Sequence[Example]) -> list[Tenant]:
    databases = sorted(path.parent for path in (folder / "text2sql").glob("*/schema.sql"))
    corpora = sorted(path.parent for path in (folder / "retrieval").glob("*/corpus.jsonl"))
    with tempfile.TemporaryDirectory() as scratch:
        async with PostgresServer(Path(scratch) / "postgres") as server:
            schemas = {path: await _schema(server, path) for path in databases}
    documents = {path: _documents(path) for path in corpora}
    rng = random.Random(1)  # noqa: S311 -- a sample, no secret
    return [
        _tenant((database, schemas[database]), (corpus, documents[corpus]), direct, rng)
        for database in databases
        for corpus in corpora
    ]


def _tenant(
    database: tuple[Path, SchemaIndex],
    corpus: tuple[Path, tuple[tuple[Note, ...], Vocabulary]],
    direct: Sequence[Example],
    rng: random.Random,
) -> Tenant:
    (folder, schema), (shelf, (passages, vocabulary)) = database, corpus
    catalogue = Catalogue(schema, vocabulary)
    explained = _questions(shelf, "documents")
    examples = [
        *_questions(folder, "sql"),
        *rng.sample(explained, min(_DOCUMENTS_PER_TENANT, len(explained))),
        *rng.sample(direct, min(_DIRECT_PER_TENANT, len(direct))),
    ]
    connected = Connected(f"{folder.name}+{shelf.name}", catalogue, passages)
    return Tenant(connected, tuple(Asked(example, catalogue) for example in examples))


async def _schema(server: PostgresServer, folder: Path) -> SchemaIndex:
    admin = await asyncpg.connect(server.dsn)
    await admin.execute(f'create database "{folder.name}"')
    await admin.close()
    connection = await asyncpg.connect(server.dsn_of(folder.name))
    try:
        for part in ("schema.sql", "data.sql"):
            await connection.execute((folder / part).read_text(encoding="utf-8"))
        return SchemaIndex(await introspect(connection))
    finally:
        await connection.close()


def _documents(folder: Path) -> tuple[tuple[Note, ...], Vocabulary]:
    lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    found = tuple(Note(raw["title"], raw["text"]) for raw in map(json.loads, lines))
    return found, Vocabulary(found)


def _questions(folder: Path, label: str) -> list[Example]:
    lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["question"] for line in lines]
    return [
        Example(text, "sql" if label == "sql" else "documents", folder.name, folder.name) for text in texts
    ]


def _report(results: dict[str, list[Result]], left_out: dict[str, float]) -> dict[str, object]:
    everything = _of_files(results)
    by_source = {"average": statistics.fmean(left_out.values()), **left_out} if left_out else {}
    return {
        "accuracy": _share([result.hit for result in everything]),
        "n": len(everything),
        **{name: _summary(found) for name, found in results.items()},
        **({"leave_source_out": {k: round(v, 4) for k, v in by_source.items()}} if by_source else {}),
    }


def _of_files(results: dict[str, list[Result]]) -> list[Result]:
    return [result for name, found in results.items() if name != "grounded" for result in found]


def _summary(found: Sequence[Result]) -> dict[str, object]:
    return {
        "accuracy": _share([result.hit for result in found]),
        "both_share": _share([result.decision.route is Route.BOTH for result in found]),
        "effective_accuracy": _share([result.effective for result in found]),
        "by_source": {
            name: _share([result.hit for result in part]) for name, part in _by_source(found).items()
        },
    }


def _by_source(found: Sequence[Result]) -> dict[str, list[Result]]:
    by_source: dict[str, list[Result]] = defaultdict(list)
    for result in found:
        by_source[result.asked.example.source].append(result)
    return by_source


def _share(found: Sequence[bool]) -> float:
    return round(sum(found) / len(found), 4)


def _show(results: dict[str, list[Result]], left_out: dict[str, float], *, failures: int) -> None:
    for name, found in results.items():
        for result in [result for result in found if not result.effective][:failures]:
            example, decision = result.asked.example, result.decision
            print(f"{name} {example.source}: {example.label} -> {decision.route} {decision.confidence:.2f}")
            print(f"    {example.text}\n    {decision.reason}")
    for name, found in results.items():
        both = _share([result.decision.route is Route.BOTH for result in found])
        milliseconds = statistics.median(result.cpu_ms for result in found)
        print(f"\n{name}: {len(found)} questions")
        print(f"  accuracy            {_bounded([result.hit for result in found])}")
        print(f"  effective accuracy  {_bounded([result.effective for result in found])}")
        print(f"  sent both ways      {both:.3f}")
        print(f"  one decision        {milliseconds:.2f} ms of CPU at the median")
        for source, part in _by_source(found).items():
            print(f"    {source:36} {_bounded([result.hit for result in part])}")
    if left_out:
        print("\naccuracy on a source that the model has not seen")
        for source, share in left_out.items():
            print(f"    {source:36} {share:.3f}")
        print(f"    {'average':36} {statistics.fmean(left_out.values()):.3f}")


def _bounded(found: Sequence[bool]) -> str:
    low, high = wilson(sum(found), len(found))
    return f"{sum(found) / len(found):.3f}  ({low:.3f} to {high:.3f}) of {len(found)}"


if __name__ == "__main__":
    main()
