"""The points of a sweep: settings of the engine and of generation by name, with a value each."""

import difflib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from contracts.errors import Misconfigured
from contracts.query import Query
from workers.engines import EngineSettings
from workers.generation.settings import GenerationSettings
from workers.shell.settings import WorkerSettings

UNSET = "default"
"""As a value: the setting stays as it is without being named."""
_PER_QUERY = Query.model_fields
# Of the worker, queues, addresses and shares, on which no answer depends; only documents are asked.
_WITHOUT_EFFECT = {*WorkerSettings.model_fields, "engine", "model", "rows_answer", "max_rows_shown"}
_NOT_OF_A_SWEEP = {"api_key", "journal"}
"""A secret stays in the environment; the points would write over one another's journal."""


class Load(BaseModel):
    """How the questions are asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    passages: int = Field(
        default=_PER_QUERY["top_k"].default, ge=1, le=50, description="passages of evidence for a question"
    )
    max_tokens: int = Field(
        default=_PER_QUERY["max_tokens"].default, ge=1, le=8_192, description="tokens of an answer at most"
    )
    clients: int = Field(default=4, ge=1, le=1_000, description="questions asked at once")


@dataclass(frozen=True)
class Point:
    """Settings by name, values as text; `varied` are those that tell it from the other points."""

    values: tuple[tuple[str, str], ...] = ()
    varied: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        shown = [f"{name}={value}" for name, value in self.values if name in self.varied]
        return " ".join(shown) or "as set"

    def value(self, name: str) -> str:
        return dict(self.values).get(name, UNSET)

    def settings(self) -> GenerationSettings:
        """What the worker would run with; the environment says what no value says. Raises: Misconfigured."""
        try:
            engine = EngineSettings.model_validate(self._of(_engine_fields()))
            own = self._of(_generation_fields())
            return GenerationSettings.model_validate({**own, "engine": engine})
        except ValidationError as error:
            raise _refused(error, self.label) from error

    def load(self) -> Load:
        """Raises: Misconfigured."""
        try:
            return Load.model_validate(self._of(Load.model_fields))
        except ValidationError as error:
            raise _refused(error, self.label) from error

    def effective(self) -> dict[str, Any]:
        """All that differs from the defaults, whoever said it: points with the same are one point."""
        settings = self.settings()
        own = settings.model_dump(mode="json", exclude_defaults=True, include=set(_generation_fields()))
        engine = settings.engine.model_dump(mode="json", exclude_defaults=True, include=set(_engine_fields()))
        return {"generation": own, "engine": engine, "load": self.load().model_dump()}

    def environment(self) -> list[str]:
        """The lines with which a worker runs like this; how the questions are asked is not among them."""
        lines = []
        for name, value in self.values:
            if name not in Load.model_fields and value != UNSET:
                lines.append(f"{variable(name)}={value}")
        return lines

    def _of(self, fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
        given = {name: value for name, value in self.values if name in fields and value != UNSET}
        return {name: _parsed(value, fields[name]) for name, value in given.items()}


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"AF_ENGINE_{name.upper()}" if name in EngineSettings.model_fields else f"AF_{name.upper()}"


def descriptions() -> Iterator[tuple[str, str]]:
    """Each name that can be swept, and what it means."""
    for fields in (_engine_fields(), _generation_fields(), Load.model_fields):
        for name, field in fields.items():
            yield name, field.description or ""


def points_of(vary: Sequence[str], fixed: Sequence[str], *, one_by_one: bool = False) -> list[Point]:
    """All combinations of what varies, or each alone with the others at their first value.

    Args:
        vary: `name=value,value,...` each.
        fixed: `name=value` each.

    Raises:
        Misconfigured: an unknown name, a value that its setting refuses, a name given twice.
    """
    ranges = {name: _split(text) for name, text in map(_assignment, vary)}
    settled = dict(map(_assignment, fixed))
    twice = sorted({*ranges} & {*settled}) or _repeated([*map(_assignment, vary), *map(_assignment, fixed)])
    if twice:
        raise Misconfigured(f"{twice[0]!r} is given twice.", remedy="Name it once, in --vary or in --set.")
    combined = _one_by_one(ranges) if one_by_one else _grid(ranges)
    points = [Point((*settled.items(), *chosen.items()), tuple(ranges)) for chosen in combined]
    for point in points:
        point.effective()
    return points


def _grid(ranges: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for values in itertools.product(*ranges.values()):
        yield dict(zip(ranges, values, strict=True))


def _one_by_one(ranges: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    first = {name: values[0] for name, values in ranges.items()}
    yield first
    for name, values in ranges.items():
        for value in values[1:]:
            yield {**first, name: value}


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value.strip():
        raise Misconfigured(f"{text!r} is not name=value.", remedy="Write for example slots=1,2,4.")
    return _known(name), value.strip()


def _known(written: str) -> str:
    """As a person may write it: `slots`, `prompt-tokens`, `AF_ENGINE_SLOTS`."""
    name = written.strip().lower().replace("-", "_")
    name = name.removeprefix("af_engine_").removeprefix("af_")
    names = [known for known, _ in descriptions()]
    if name in names:
        return name
    if name in {*GenerationSettings.model_fields, *_NOT_OF_A_SWEEP}:
        raise Misconfigured(
            f"{written.strip()!r} can't be swept: a secret, or nothing that is measured depends on it.",
            remedy="`askfleet tune --settings` lists what can be swept.",
        )
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    raise Misconfigured(
        f"There is no setting {written.strip()!r}.",
        remedy=f"{meant}`askfleet tune --settings` lists what can be swept.",
    )


def _split(text: str) -> list[str]:
    """At the commas outside of brackets; each value once."""
    values, depth = [""], 0
    for character in text:
        depth += (character in "{[") - (character in "}]")
        if character == "," and depth == 0:
            values.append("")
        else:
            values[-1] += character
    return list(dict.fromkeys(stripped for value in values if (stripped := value.strip())))


def _repeated(assigned: Sequence[tuple[str, str]]) -> list[str]:
    names = [name for name, _ in assigned]
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _parsed(value: str, field: FieldInfo) -> Any:
    """As pydantic reads an environment variable: JSON where the setting is no text."""
    is_text = str in (field.annotation, *get_args(field.annotation))
    if is_text or not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise Misconfigured(f"{value!r} is not JSON: {error}.") from error


def _refused(error: ValidationError, label: str) -> Misconfigured:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    given = f"{name}={first['input']!r}" if name else label
    meanings = dict(descriptions())
    meaning = f"It means: {meanings[name]}." if meanings.get(name) else "Change the combination."
    return Misconfigured(f"{given}: {first['msg']}.", remedy=meaning)


def _engine_fields() -> dict[str, FieldInfo]:
    fields = EngineSettings.model_fields
    return {name: field for name, field in fields.items() if name not in _NOT_OF_A_SWEEP}


def _generation_fields() -> dict[str, FieldInfo]:
    fields = GenerationSettings.model_fields
    return {name: field for name, field in fields.items() if name not in _WITHOUT_EFFECT}
