"""Counting by number against following every question; spill between clusters."""

from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from askfleet.fleet.reading import read_topology
from askfleet.scaling import read_scaled_object
from askfleet.simulation.assumptions import Assumptions
from askfleet.simulation.counting import count, counted, counted_times, waits_of
from askfleet.simulation.demand import Demand, Lengths, constant, demand, with_spike
from askfleet.simulation.fleet_sites import of_topology, ring, sites
from askfleet.simulation.following import follow
from askfleet.simulation.nodes import Provisioning
from askfleet.simulation.outcome import Outcome
from askfleet.simulation.policy import by_queue, static
from askfleet.simulation.service import Service
from askfleet.simulation.site import Site, helped_by
from contracts.errors import Misconfigured

ROOT = Path(__file__).parents[2]
SHIPPED = read_scaled_object(ROOT / "deploy/keda/base/scaledobjects/generation-default.yaml")
LENGTHS = Lengths()


def both(places: list[Site], asked: list[Demand], seed: int) -> tuple[list[Outcome], list[Outcome]]:
    arrivals = [counted_times(each.at_s, each.seconds) for each in asked]
    return follow(places, asked), count(places, arrivals, LENGTHS, seeds=[seed] * len(places))


def test_counting_agrees_with_following_on_a_spike_that_spills() -> None:
    """Three seeds, the mean of each figure: p95 of the wait and GPU-hours within 10 %, spilled within 5 %."""
    rules = replace(SHIPPED, max_replicas=3)
    places = [
        Site("a", by_queue(replace(rules, min_replicas=1)), helpers=(1,)),
        Site("b", by_queue(replace(rules, min_replicas=2)), helpers=(0,)),
    ]
    spike = with_spike(constant(3.0, 25), at_minute=3, minutes=6, to=25.0)
    pairs = [
        both(
            places,
            [demand(spike, LENGTHS, seed=seed), demand(constant(3.0, 25), LENGTHS, seed=seed + 50)],
            seed,
        )
        for seed in range(3)
    ]
    followed, numbered = [one[0] for one, _ in pairs], [other[0] for _, other in pairs]
    assert all(a.waits.questions == b.waits.questions for a, b in zip(followed, numbered, strict=True))
    for value, within in (
        (lambda outcome: outcome.waits.quantile(0.95), 0.10),
        (lambda outcome: outcome.waits.mean, 0.10),
        (lambda outcome: outcome.gpu_hours, 0.10),
        (lambda outcome: outcome.spilled, 0.05),
        (lambda outcome: outcome.answer_s, 0.05),
    ):
        measured = mean(value(outcome) for outcome in followed)
        assert measured > 0
        assert mean(value(outcome) for outcome in numbered) == pytest.approx(measured, rel=within)


def test_counting_waits_for_the_same_cold_start_and_keeps_the_node_as_long() -> None:
    """KEDA polls at 65 s; node, model, an answer of some seconds, the cooldown of 600 s, 300 s kept."""
    nodes = Provisioning(node_s=180.0, model_s=120.0, keep_node_s=300.0)
    asked = counted_times(np.array([61.0]), 7_200.0)
    outcome = count([Site("a", by_queue(SHIPPED), Service(), nodes)], [asked], LENGTHS, seeds=[1])[0]
    assert outcome.waits.mean == pytest.approx(4.0 + 300.0, abs=2.0)
    assert outcome.gpu_hours * 3_600 == pytest.approx(300 + 600 + 300, abs=30)


def test_work_stays_at_home_as_long_as_there_are_slots() -> None:
    places = [Site("a", static(2), helpers=(1,)), Site("b", static(2), helpers=(0,))]
    asked = [demand(constant(3.0, 10), LENGTHS, seed=seed) for seed in (1, 2)]
    for outcomes in both(places, asked, seed=1):
        assert [outcome.spilled for outcome in outcomes] == [0, 0]


def test_a_cluster_without_workers_is_served_by_its_neighbours_within_their_share() -> None:
    service = Service(slots=8)
    places = [Site("a", static(0), service, helpers=(1,)), Site("b", static(1), service, helpers=(0,))]
    asked = [
        demand(constant(1.5, 10), LENGTHS, seed=1),
        Demand(np.empty(0), np.empty(0), np.empty(0), seconds=600.0),
    ]
    for outcomes in both(places, asked, seed=1):
        assert outcomes[0].unbegun == 0
        assert outcomes[0].spilled == len(asked[0])
        assert max(change.in_work for change in outcomes[0].path) == 4, "half of 8 slots"


def test_no_more_questions_are_in_work_than_the_queue_hands_out_at_once_neighbours_included() -> None:
    service = Service(slots=8)
    places = [
        Site("a", static(1), service, helpers=(1,), ack_pending=10),
        Site("b", static(2), service, helpers=(0,), ack_pending=10),
    ]
    nothing = Demand(np.empty(0), np.empty(0), np.empty(0), seconds=600.0)
    asked = [demand(constant(6.0, 10), LENGTHS, seed=1), nothing]
    held, free = (both([replace(p, ack_pending=n) for p in places], asked, seed=1) for n in (10, 0))
    for outcomes in held:
        assert max(change.in_work for change in outcomes[0].path) == 10
        assert outcomes[0].unbegun == 0
    for outcomes in free:
        assert max(change.in_work for change in outcomes[0].path) == 16, "8 slots, and half of 16"
    # 10 at once and an answer of 4.8 s at least: 2 a second.
    for held_one, free_one in zip(held, free, strict=True):
        assert held_one[0].waits.mean > 1.5 * free_one[0].waits.mean


def test_an_answer_that_ends_at_a_leaving_neighbour_makes_room_for_the_next_at_home() -> None:
    service = Service(slots=8, kv_tokens=0, first_token_s=0.0, prompt_token_s=0.0, alone_s=1.0, full_s=1.0)
    nodes = Provisioning(node_s=0.0, model_s=50.0)
    places = [
        Site("a", by_queue(SHIPPED), service, nodes, helpers=(1,), ack_pending=4),
        Site("b", by_queue(SHIPPED, start=1), service, nodes),
    ]
    nothing = Demand(np.empty(0), np.empty(0), np.empty(0), seconds=600.0)
    outcome = follow(places, [Demand(np.zeros(8), np.zeros(8), np.full(8, 100.0), seconds=600.0), nothing])[0]
    assert outcome.spilled == 4
    assert outcome.waits.seconds.tolist() == pytest.approx([0.0] * 4 + [100.0] * 4)


def test_questions_begin_in_the_order_in_which_they_came() -> None:
    waits = waits_of(np.array([3, 0, 1, 0, 0]), np.array([1, 0, 1, 2, 0]))
    found = sorted(zip(waits.seconds.tolist(), waits.weights.tolist(), strict=True))
    assert sum(weight for _, weight in found) == 4
    assert [seconds for seconds, weight in found for _ in range(int(weight))] == [0.0, 1.0, 2.0, 3.0]


def test_a_fleet_of_4000_gpus_is_counted_in_seconds_for_an_hour() -> None:
    assumed = Assumptions()
    places = sites(ring(10, 4_000, least=100), SHIPPED, assumed, spill=True)
    arrivals = [counted(constant(500.0, 60), seed=seed) for seed in range(10)]
    outcomes = count(places, arrivals, LENGTHS, seeds=range(10))
    assert sum(outcome.waits.questions for outcome in outcomes) == pytest.approx(18e6, rel=0.001)
    assert sum(outcome.most_ready for outcome in outcomes) <= 4_000


def test_clusters_of_the_topology_have_its_limits_and_helpers() -> None:
    topology = read_topology(ROOT / "deploy/fleet/topology.yaml")
    found = {place.name: place for place in of_topology(topology, SHIPPED)}
    for name in topology.clusters:
        limits = topology.limits(name, "generation-default")
        assert (found[name].least, found[name].most) == (limits.least, limits.most)
        assert found[name].helpers == topology.helpers(name, "generation-default")
    built = sites(list(found.values()), SHIPPED, Assumptions(), spill=True)
    for place, site in enumerate(built):
        neighbours = [built[other].name for other in helped_by(built, place)]
        assert neighbours == list(topology.helped(site.name, "generation-default"))


def test_fewer_gpus_than_clusters_are_refused() -> None:
    with pytest.raises(Misconfigured, match="3 GPUs in 10 clusters"):
        ring(10, 3)
