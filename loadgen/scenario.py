"""What a load run does, as a person writes it: a YAML file or flags."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from contracts import Route
from contracts.errors import Misconfigured
from contracts.query import Name, NonBlank

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, le=100_000, description="queries a second")]
SteadyRate = Annotated[float, Field(gt=0, le=100_000, description="queries a second")]
Span = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]
"""From the first to the second number of seconds, each time alike."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Constant(_Part):
    """One query every 1/rate seconds."""

    kind: Literal["constant"] = "constant"
    rate: SteadyRate = 5.0


class Poisson(_Part):
    """Independent clients: the times between queries are exponential."""

    kind: Literal["poisson"] = "poisson"
    rate: SteadyRate = 5.0


class Ramp(_Part):
    """The rate changes evenly from `rate` to `to` over the whole run."""

    kind: Literal["ramp"] = "ramp"
    rate: Rate = 1.0
    to: Rate = 20.0
    even: bool = Field(default=False, description="evenly spaced instead of Poisson")


class Spike(_Part):
    """`rate`, but `to` for `for_s` seconds from `at_s` on."""

    kind: Literal["spike"] = "spike"
    rate: Rate = 5.0
    to: Rate = 50.0
    at_s: Annotated[float, Field(ge=0)] = 10.0
    for_s: Annotated[float, Field(gt=0)] = 10.0
    even: bool = Field(default=False, description="evenly spaced instead of Poisson")


class Replay(_Part):
    """The times of a recorded trace, `speed` times as fast."""

    kind: Literal["replay"] = "replay"
    file: Path
    speed: Annotated[float, Field(gt=0)] = 1.0


class Closed(_Part):
    """Clients that ask again as soon as they are answered; they begin one after the other over `ramp_s`."""

    kind: Literal["closed"] = "closed"
    clients: Annotated[int, Field(ge=1, le=20_000)] = 16
    ramp_s: Annotated[float, Field(ge=0)] = 0.0


Arrivals = Annotated[
    Constant | Poisson | Ramp | Spike | Replay | Closed,
    Field(discriminator="kind"),
]


class Questions(_Part):
    """One kind of question: from `file` (a line each), as `texts`, or built in for `about`.

    Without `route` the router decides, as for people's questions.
    """

    weight: Weight = 1.0
    about: Route = Route.DOCUMENTS
    file: Path | None = None
    texts: tuple[NonBlank, ...] = ()
    route: Route | None = None


class TenantShare(_Part):
    name: Name
    share: Weight = 1.0
    key: SecretStr | None = None


class DoorShares(_Part):
    http: Weight = 1.0
    nats: Weight = 0.0
    openai: Weight = 0.0

    @model_validator(mode="after")
    def _some(self) -> "DoorShares":
        if self.http + self.nats + self.openai <= 0:
            raise ValueError("at least one door needs a share")
        return self


class Habits(_Part):
    """Shares of the clients that do more than read."""

    cancel: Share = 0.0
    cancel_after_s: Span = Field(default=(0.0, 2.0), description="from the acceptance on")
    resume: Share = Field(default=0.0, description="disconnect and read on over another connection")
    resume_after_s: Span = Field(default=(0.0, 2.0), description="from the acceptance to the disconnect")
    pause_s: Span = Field(default=(0.0, 2.0), description="from the disconnect to the resume")
    slow: Share = Field(default=0.0, description="read at a bounded rate")
    slow_bytes_per_s: Annotated[int, Field(ge=64)] = 2_000
    retry_refused: bool = Field(
        default=False, description="come again when the door said so with Retry-After"
    )

    @model_validator(mode="after")
    def _at_most_all(self) -> "Habits":
        if self.cancel + self.resume + self.slow > 1:
            raise ValueError("cancel, resume and slow are shares of all clients: together at most 1")
        return self


class Scenario(_Part):
    seconds: Annotated[float, Field(gt=0, le=7 * 86_400)] = 60.0
    seed: int = 7
    arrivals: Arrivals = Poisson()
    questions: Annotated[tuple[Questions, ...], Field(min_length=1)] = (Questions(),)
    tenants: Annotated[tuple[TenantShare, ...], Field(min_length=1)] = (TenantShare(name="demo"),)
    doors: DoorShares = DoorShares()
    clients: Habits = Habits()
    deadline_s: Annotated[float, Field(gt=0, le=900)] = 60.0
    grace_s: Annotated[float, Field(ge=0)] = Field(
        default=15.0, description="after the deadline, until a query without an end counts as stuck"
    )
    max_tokens: Annotated[int, Field(ge=1, le=8_192)] = 128
    top_k: Annotated[int, Field(ge=1, le=50)] = 5

    @model_validator(mode="after")
    def _somebody_asks(self) -> "Scenario":
        if not any(tenant.share for tenant in self.tenants):
            raise ValueError("at least one tenant needs a share")
        if not any(questions.weight for questions in self.questions):
            raise ValueError("at least one kind of question needs a weight")
        return self


def read_scenario(path: Path) -> Scenario:
    """Files that it names are looked for beside it. Raises Misconfigured."""
    try:
        given = yaml.safe_load(path.read_bytes()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise Misconfigured(
            f"The scenario {path} can't be read: {' '.join(str(error).split())}.", remedy="Check the file."
        ) from error
    return _beside(checked(given, str(path)), path.parent)


def checked(given: object, source: str) -> Scenario:
    """Raises Misconfigured that names the first wrong field and its value."""
    try:
        return Scenario.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the scenario"
        shown = repr(first.get("input"))[:80]
        raise Misconfigured(
            f"{source}: {where}: {first['msg']} (got {shown}).",
            remedy="docs/load-testing.md lists the fields of a scenario.",
        ) from error


def _beside(scenario: Scenario, folder: Path) -> Scenario:
    questions = tuple(
        each.model_copy(update={"file": folder / each.file}) if each.file is not None else each
        for each in scenario.questions
    )
    arrivals = scenario.arrivals
    if isinstance(arrivals, Replay):
        arrivals = arrivals.model_copy(update={"file": folder / arrivals.file})
    return scenario.model_copy(update={"questions": questions, "arrivals": arrivals})
