"""Evaluations as experiments in Phoenix: the questions as a data set, each run as an experiment over it.

A data set is named for its content too, so that runs over the same questions are compared with each other and
never with those over other questions.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from contracts.errors import DependencyUnavailable

TIMEOUT_S = 60.0

Fields = Mapping[str, object]


@dataclass(frozen=True)
class Case:
    """One question, what was wanted, what came, and how good that is by each measure, from 0 to 1."""

    asked: Fields
    wanted: Fields
    came: Fields
    scores: Mapping[str, float]
    about: Fields = field(default_factory=dict)


def upload(url: str, name: str, cases: Sequence[Case], *, settings: Fields) -> str:
    """The address of the experiment, for a person.

    Args:
        name: of the evaluation, as `retrieval`; the data set and the experiment are called after it.
        settings: what distinguishes this run from another one.

    Raises:
        DependencyUnavailable: there is no Phoenix, or it refused what it was sent.
    """
    with httpx.Client(base_url=url.rstrip("/"), timeout=TIMEOUT_S) as client:
        phoenix = _Phoenix(client)
        dataset = phoenix.dataset(f"{name}-{_digest(cases)}", cases)
        examples = phoenix.examples(dataset)
        body = {"name": f"{name} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}", "metadata": dict(settings)}
        experiment = str(phoenix.post(f"/v1/datasets/{dataset}/experiments", body)["data"]["id"])
        for example, case in zip(examples, cases, strict=True):
            phoenix.run(experiment, example, case)
        return f"{client.base_url}/datasets/{dataset}/compare?experimentId={experiment}"


@dataclass(frozen=True)
class _Phoenix:
    client: httpx.Client

    def post(self, path: str, body: object, **parameters: str) -> dict[str, Any]:
        return self._read("POST", path, json=body, params=parameters)

    def dataset(self, name: str, cases: Sequence[Case]) -> str:
        """Its id; one of that name holds these questions already."""
        found = self._read("GET", "/v1/datasets", params={"name": name})
        if found["data"]:
            return str(found["data"][0]["id"])
        body = {
            "action": "create",
            "name": name,
            "inputs": [dict(case.asked) for case in cases],
            "outputs": [dict(case.wanted) for case in cases],
            "metadata": [{**case.about, "number": number} for number, case in enumerate(cases)],
        }
        return str(self.post("/v1/datasets/upload", body, sync="true")["data"]["dataset_id"])

    def examples(self, dataset: str) -> list[str]:
        """Ids in the order of the cases."""
        found = self._read("GET", f"/v1/datasets/{dataset}/examples")["data"]["examples"]
        return [str(one["id"]) for one in sorted(found, key=lambda one: int(one["metadata"]["number"]))]

    def run(self, experiment: str, example: str, case: Case) -> None:
        now = datetime.now(UTC).isoformat()
        times = {"start_time": now, "end_time": now}
        body = {"dataset_example_id": example, "output": dict(case.came), "repetition_number": 1, **times}
        run = self.post(f"/v1/experiments/{experiment}/runs", body)["data"]["id"]
        for name, score in case.scores.items():
            judged = {"experiment_run_id": run, "name": name, "annotator_kind": "CODE", **times}
            self.post("/v1/experiment_evaluations", {**judged, "result": {"score": score}})

    def _read(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = self.client.request(method, path, **options)
        except httpx.TransportError as error:
            raise DependencyUnavailable(
                f"No Phoenix answers at {self.client.base_url} ({error!r}).",
                remedy="Start one with `askfleet up --phoenix`; it prints its address.",
            ) from error
        if answer.is_error:
            raise DependencyUnavailable(
                f"Phoenix answered {answer.status_code} to {path}: {answer.text[:300]}"
            )
        found: dict[str, Any] = answer.json()
        return found


def _digest(cases: Sequence[Case]) -> str:
    text = json.dumps([[dict(case.asked), dict(case.wanted)] for case in cases], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
