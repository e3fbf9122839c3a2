"""A load run's scenario out of a file and flags; flags win."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from contracts import Route
from contracts.errors import Misconfigured
from loadgen.scenario import (
    DoorShares,
    Questions,
    Replay,
    Scenario,
    checked,
    read_scenario,
)
from loadgen.trace import read_trace

FLAGS = "the flags"
Value = str | int | float | bool | None


@dataclass(frozen=True)
class Flags:
    """What was given; None and empty leave the scenario as it is.

    Args:
        scenario: fields of the scenario itself.
        arrivals: `kind` and the fields of that kind.
        clients: fields of its `clients`.
        skip_router: each built-in question goes the way that it is about.
    """

    file: Path | None = None
    scenario: Mapping[str, Value] | None = None
    arrivals: Mapping[str, Value] | None = None
    clients: Mapping[str, Value] | None = None
    questions: Sequence[str] = ()
    tenants: Sequence[str] = ()
    doors: Sequence[str] = ()
    skip_router: bool = False


def planned(flags: Flags) -> Scenario:
    """Raises Misconfigured that names the wrong value."""
    base = read_scenario(flags.file) if flags.file is not None else Scenario()
    given: dict[str, object] = dict(base)
    given |= _given(flags.scenario or {})
    given["arrivals"] = _arrivals(base, flags)
    given["clients"] = base.clients.model_dump() | _given(flags.clients or {})
    if flags.doors:
        given["doors"] = {"http": 0, "nats": 0, "openai": 0} | _doors(flags.doors)
    if flags.tenants:
        known = {tenant.name: tenant.key for tenant in base.tenants}
        given["tenants"] = [_tenant(each, known) for each in flags.tenants]
    if flags.questions:
        given["questions"] = [_questions(each, skip_router=flags.skip_router) for each in flags.questions]
    elif flags.skip_router:
        given["questions"] = tuple(map(_forced, base.questions))
    return _long_enough(checked(given, FLAGS), flags)


def _given(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if value is not None}


def _arrivals(base: Scenario, flags: Flags) -> dict[str, object]:
    """Of the kind that is named, or that the other flags mean, or the scenario's own."""
    given = _given(flags.arrivals or {})
    meant = "replay" if "file" in given else "closed" if "clients" in given else base.arrivals.kind
    kind = given.get("kind", meant)
    known = base.arrivals.model_dump() if kind == base.arrivals.kind else {}
    return known | given | {"kind": kind}


def _long_enough(scenario: Scenario, flags: Flags) -> Scenario:
    """A trace is replayed to its end unless somebody said for how long."""
    arrivals = scenario.arrivals
    stated = flags.file is not None or (flags.scenario or {}).get("seconds") is not None
    if stated or not isinstance(arrivals, Replay):
        return scenario
    last_s = read_trace(arrivals.file)[-1].at_s / arrivals.speed
    return scenario.model_copy(update={"seconds": last_s + 1.0})


def _doors(given: Sequence[str]) -> dict[str, float]:
    doors = dict(_weighted(each) for each in given)
    unknown = sorted(doors.keys() - DoorShares.model_fields.keys())
    if unknown:
        raise Misconfigured(f"--door: there is no door {unknown[0]!r}.", remedy="Use http, nats or openai.")
    return doors


def _tenant(given: str, keys: Mapping[str, SecretStr | None]) -> dict[str, object]:
    name, share = _weighted(given)
    return {"name": name, "share": share, "key": keys.get(name)}


def _questions(given: str, *, skip_router: bool) -> dict[str, object]:
    name, weight = _weighted(given)
    if name in list(Route):
        return {"weight": weight, "about": name, "route": name if skip_router else None}
    return {"weight": weight, "file": name}


def _forced(questions: Questions) -> Questions:
    return (
        questions
        if questions.file or questions.texts
        else questions.model_copy(update={"route": questions.about})
    )


def _weighted(given: str) -> tuple[str, float]:
    """`name=3` or `name`, whose weight is 1."""
    name, _, weight = given.rpartition("=") if "=" in given else (given, "", "1")
    try:
        return name, float(weight)
    except ValueError as error:
        raise Misconfigured(f"{given!r} is not a name and a number, as sql=3.") from error
