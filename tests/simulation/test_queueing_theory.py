"""The simulator against what queueing theory knows in closed form.

Means of a simulated queue scatter. Each run is cut into batches that are long beside the queue's memory, so
that their means are nearly independent; theory has to lie within the 99.9 % confidence interval (Student's
t), and the interval has to be narrow enough that a wrong model would not.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from askfleet.scaling import ScaledObject
from askfleet.scaling.formula import Formula
from askfleet.simulation.demand import Demand, Floats
from askfleet.simulation.following import follow
from askfleet.simulation.nodes import Provisioning
from askfleet.simulation.outcome import Outcome
from askfleet.simulation.policy import by_queue, static
from askfleet.simulation.service import Service
from askfleet.simulation.site import Site

BATCHES = 30
T_999 = 3.659
"""Student's t for 29 degrees of freedom: 99.9 % lie within so many standard errors."""
ONE_BY_ONE = Service(slots=1, kv_tokens=0, first_token_s=0.0, prompt_token_s=0.0, alone_s=1.0, full_s=1.0)
"""A replica that takes as long as there are tokens: one server of a textbook."""


def poisson(rate: float, count: int, *, mean_s: float, seed: int) -> Demand:
    """Poisson arrivals with exponential work."""
    chance = np.random.default_rng(seed)
    at_s = np.cumsum(chance.exponential(1 / rate, count))
    return Demand(at_s, np.zeros(count), chance.exponential(mean_s, count), seconds=float(at_s[-1]))


def interval(values: Floats) -> tuple[float, float]:
    """Mean, and half of its confidence interval."""
    means = np.array([batch.mean() for batch in np.array_split(values, BATCHES)])
    return float(means.mean()), T_999 * float(means.std(ddof=1)) / math.sqrt(BATCHES)


def erlang_c(servers: int, load: float) -> float:
    """P(wait) of M/M/c."""
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(load**k / math.factorial(k) for k in range(servers)) + last)


@pytest.mark.parametrize(
    ("servers", "load", "known"), [(2, 1.0, 1 / 3), (5, 4.0, 0.5541), (10, 8.0, 0.4092), (16, 12.8, 0.3049)]
)
def test_the_share_that_waits_is_that_of_erlang_c(servers: int, load: float, known: float) -> None:
    assert erlang_c(servers, load) == pytest.approx(known, abs=5e-5)
    demand = poisson(load, 40_000, mean_s=1.0, seed=servers)
    waits = served(servers, demand).waits.seconds
    share, half = interval((waits > 1e-9).astype(np.float64))
    assert half < 0.12 * known + 0.02
    assert abs(share - known) <= half


def test_the_mean_wait_is_that_of_erlang_c() -> None:
    """E[Wq] = P(wait) / (c mu - lambda): 0.2046 for c=10, lambda=8, mu=1."""
    demand = poisson(8.0, 60_000, mean_s=1.0, seed=3)
    mean, half = interval(served(10, demand).waits.seconds)
    assert half < 0.06
    assert abs(mean - erlang_c(10, 8.0) / 2.0) <= half


def test_questions_in_the_queue_are_their_rate_times_their_wait() -> None:
    """Little's law; the queue's length is summed up over time, apart from the waits."""
    demand = poisson(4.0, 20_000, mean_s=1.0, seed=4)
    outcome = served(5, demand)
    rate = len(demand) / demand.seconds
    # Those who still wait at the end of the arrivals are the only difference: a handful of 20,000.
    assert outcome.mean_in_queue == pytest.approx(rate * outcome.waits.mean, rel=2e-3)
    assert outcome.mean_in_queue > 1.0


def test_a_server_that_is_stopped_when_idle_costs_its_set_up() -> None:
    """M/G/1 with set-up S, stopped at once: 4.214 for lambda=.5, mu=1, S=5, in units of a mean service.

    KEDA polls, theory does not: with 100 s a unit, a poll each 2 s and no cooldown it looks 0.01 units late
    on the mean, and stops 1 to 2 polls (at most 0.04 units) after the end. Neither moves the mean by 1 %.
    """
    unit_s, rate, set_up = 100.0, 0.5, 5.0
    theory = rate * 2 / (2 * (1 - rate)) + (2 * set_up + rate * set_up**2) / (2 * (1 + rate * set_up))
    assert theory == pytest.approx(4.214, abs=5e-4)
    rules = ScaledObject(
        name="one",
        target="one",
        triggers=(),
        formula=Formula("0"),
        target_value=1e9,
        min_replicas=0,
        max_replicas=1,
        polling_interval_s=2,
        cooldown_s=0,
        cached_metrics=True,
    )
    site = Site("one", by_queue(rules), ONE_BY_ONE, Provisioning(0.0, set_up * unit_s, 0.0))
    demand = poisson(rate / unit_s, 2_500, mean_s=unit_s, seed=5)
    mean, half = interval(follow([site], [demand])[0].waits.seconds / unit_s)
    assert half < 0.25 * theory
    assert abs(mean - theory) <= half + 0.01 * theory
    always = replace(site, policy=static(1))
    without, _ = interval(follow([always], [demand])[0].waits.seconds / unit_s)
    assert without < theory - half, "a server that never stops is told apart"


def served(servers: int, demand: Demand) -> Outcome:
    return follow([Site("textbook", static(servers), ONE_BY_ONE)], [demand])[0]
