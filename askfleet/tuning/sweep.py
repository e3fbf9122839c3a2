"""The points of a sweep: settings of the engine and of generation by name, with a value each."""

import difflib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from contracts.errors import Misconfigured
from contracts.query import Query
from workers.engines import EngineKind, EngineSettings
from workers.generation.settings import GenerationSettings
from workers.shell.settings import WorkerSettings

UNSET = "default"
"""As a value: the setting stays as it is without being named."""
M = TypeVar("M", bound=BaseModel)
_PREFIX = EngineSettings.model_config["env_prefix"]
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
class Setting:
    """One that can be swept. `path` leads to it from the settings of generation, `variable` is its name
    in the environment; what belongs to the load alone has neither."""

    field: FieldInfo
    path: tuple[str, ...] = ()
    variable: str = ""


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
        tree: dict[str, Any] = {}
        for (*above, last), value in self._given(of_load=False):
            branch = tree
            for step in above:
                branch = branch.setdefault(step, {})
            branch[last] = value
        return _validated(GenerationSettings, tree, self)

    def load(self) -> Load:
        """Raises: Misconfigured."""
        return _validated(Load, {path[-1]: value for path, value in self._given(of_load=True)}, self)

    def effective(self) -> dict[str, Any]:
        """All that differs from the defaults, whoever said it: points with the same are one point."""
        settings = self.settings()
        told = settings.model_dump(mode="json")
        found: dict[str, Any] = {"load": self.load().model_dump()}
        for name, setting in _sweepable().items():
            if setting.path and _at(settings, setting.path) != setting.field.get_default(
                call_default_factory=True
            ):
                found[name] = _at(told, setting.path)
        return found

    def environment(self) -> list[str]:
        """The lines with which a worker runs like this; how the questions are asked is not among them."""
        known = _sweepable()
        return [
            f"{known[name].variable}={value}"
            for name, value in self.values
            if known[name].variable and value != UNSET
        ]

    def _given(self, *, of_load: bool) -> Iterator[tuple[tuple[str, ...], Any]]:
        known = _sweepable()
        for name, value in self.values:
            setting = known[name]
            if value != UNSET and bool(setting.path) is not of_load:
                yield setting.path or (name,), _parsed(value, setting.field)


def descriptions() -> Iterator[tuple[str, str]]:
    """Each name that can be swept, and what it means."""
    for name, setting in _sweepable().items():
        yield name, setting.field.description or ""


def points_of(vary: Sequence[str], fixed: Sequence[str], *, one_by_one: bool = False) -> list[Point]:
    """All combinations of what varies, or each alone with the others at their first value.

    Args:
        vary: `name=value,value,...` each.
        fixed: `name=value` each.

    Raises:
        Misconfigured: an unknown name, a value that its setting refuses, a name given twice.
    """
    ranges = {name: _split(name, text) for name, text in map(_assignment, vary)}
    settled = dict(map(_assignment, fixed))
    twice = sorted({*ranges} & {*settled}) or _repeated([*map(_assignment, vary), *map(_assignment, fixed)])
    if twice:
        raise Misconfigured(f"{twice[0]!r} is given twice.", remedy="Name it once, in --vary or in --set.")
    combined = _one_by_one(ranges) if one_by_one else _grid(ranges)
    points = [Point((*settled.items(), *chosen.items()), tuple(ranges)) for chosen in combined]
    for point in points:
        point.effective()
    _check_all_count(points, {*ranges, *settled})
    return points


def _check_all_count(points: Sequence[Point], names: Set[str]) -> None:
    """A setting of an engine that no point opens: the points would differ by chance only."""
    opened = {point.settings().engine.kind for point in points}
    for name in sorted(names):
        kind = name.partition("_")[0]
        if kind in get_args(EngineKind) and kind not in opened:
            raise Misconfigured(
                f"{name!r} is a setting of the engine {kind}; the points open {', '.join(sorted(opened))}.",
                remedy=f"Add --set kind={kind}, or leave {name} out.",
            )


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


def plain_name(written: str) -> str:
    """Of what a person may write: `slots`, `prompt-tokens`, `AF_ENGINE_SLOTS`."""
    return written.strip().lower().replace("-", "_").removeprefix("af_engine_").removeprefix("af_")


def _known(written: str) -> str:
    name = plain_name(written)
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


def _split(name: str, text: str) -> list[str]:
    """At the commas outside of brackets; each value once. Raises: Misconfigured: there is none."""
    values, depth = [""], 0
    for character in text:
        depth += (character in "{[") - (character in "}]")
        if character == "," and depth == 0:
            values.append("")
        else:
            values[-1] += character
    found = list(dict.fromkeys(stripped for value in values if (stripped := value.strip())))
    if not found:
        raise Misconfigured(f"{name}={text} names no value.", remedy=f"Write for example {name}={UNSET}.")
    return found


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


def _validated(model: type[M], tree: Mapping[str, Any], point: Point) -> M:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = tuple(str(step) for step in first["loc"])
        known = _sweepable().items()
        named = [(name, setting) for name, setting in known if path in (setting.path, (name,))]
        if not named:
            raise Misconfigured(
                f"{point.label}: {first['msg']}.", remedy="Change the combination."
            ) from error
        name, setting = named[0]
        raise Misconfigured(
            f"{name}={first['input']!r}: {first['msg']}.", remedy=f"It means: {setting.field.description}."
        ) from error


def _at(tree: Any, path: Sequence[str]) -> Any:
    for step in path:
        tree = tree[step] if isinstance(tree, dict) else getattr(tree, step)
    return tree


@cache
def _sweepable() -> dict[str, Setting]:
    """By name, which is the variable's without `AF_` or `AF_ENGINE_`."""
    own = {
        name: Setting(field, (name,), f"AF_{name.upper()}")
        for name, field in GenerationSettings.model_fields.items()
        if name not in _WITHOUT_EFFECT
    }
    load = {name: Setting(field) for name, field in Load.model_fields.items()}
    return {**dict(_of_engine(EngineSettings, ("engine",))), **own, **load}


def _of_engine(group: type[BaseSettings], path: tuple[str, ...]) -> Iterator[tuple[str, Setting]]:
    prefix = group.model_config["env_prefix"]
    for name, field in group.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseSettings):
            yield from _of_engine(field.annotation, (*path, name))
        elif name not in _NOT_OF_A_SWEEP:
            variable = f"{prefix}{name.upper()}"
            yield variable.removeprefix(_PREFIX).lower(), Setting(field, (*path, name), variable)
