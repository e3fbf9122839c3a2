"""Which question a free slot goes to, whose queue a fleet counts, and what runs beside what."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from askfleet.scaling import Behavior, read_scaled_object
from askfleet.scaling.scaled_object import DEFAULT_DOWN, DEFAULT_UP
from askfleet.simulation.counting import count, counted, counted_times, groups_of
from askfleet.simulation.demand import Demand, Lengths, constant, with_spike
from askfleet.simulation.following import follow
from askfleet.simulation.nodes import Nodes, Provisioning
from askfleet.simulation.outcome import Outcome
from askfleet.simulation.policy import by_queue, static
from askfleet.simulation.service import Service
from askfleet.simulation.site import Site

SHIPPED = read_scaled_object(
    Path(__file__).parents[2] / "deploy/keda/base/scaledobjects/generation-default.yaml"
)
AT_ONCE = Behavior(up=DEFAULT_UP, down=replace(DEFAULT_DOWN, window_s=0))
FOREVER = Service(slots=8, kv_tokens=0, first_token_s=0.0, prompt_token_s=0.0, alone_s=10.0, full_s=10.0)
"""2,000 s for an answer of 200 tokens: none ends in the minutes that a test looks at."""


def counts(places: list[Site], *at_s: list[float], seconds: float = 120.0) -> list[Outcome]:
    arrivals = [counted_times(np.array(each, dtype=float), seconds) for each in at_s]
    return count(places, arrivals, Lengths(), seeds=[1] * len(places))


def asked(*at_s: float, tokens: float = 10.0) -> Demand:
    return Demand(np.array(at_s), np.zeros(len(at_s)), np.full(len(at_s), tokens), seconds=600.0)


def test_a_policy_is_counted_the_same_alone_and_beside_others() -> None:
    rates = with_spike(constant(4.0, 30), at_minute=5, minutes=5, to=30.0)
    arrivals = counted(rates, seed=3)
    policies = [by_queue(SHIPPED), by_queue(replace(SHIPPED, min_replicas=1)), static(1), static(4)]
    places = [Site(policy.name, policy) for policy in policies]
    beside = count(places, [arrivals] * 4, Lengths(), seeds=[3] * 4)
    assert len({outcome.path[-1].t for outcome in beside}) > 1, "one goes on after another's last has begun"
    for place, together in zip(places, beside, strict=True):
        alone = count([place], [arrivals], Lengths(), seeds=[3])[0]
        assert together.figures(120.0) == alone.figures(120.0)
        assert together.path == alone.path


def test_clusters_that_help_each_other_are_one_group_whoever_helps_whom() -> None:
    helpers = [(), (3,), (), (), (1, 5), ()]
    places = [Site(str(number), static(1), helpers=each) for number, each in enumerate(helpers)]
    assert groups_of(places) == [[0], [1, 3, 4, 5], [2]]


def test_own_questions_take_the_slots_before_those_of_neighbours() -> None:
    places = [Site("a", static(0), FOREVER, helpers=(1,)), Site("b", static(1), FOREVER)]
    guest, own = counts(places, [30.0] * 8, [30.0] * 8)
    assert own.waits.quantile(1.0) == 0
    assert guest.waits.quantile(0.0) > 60


def test_a_slot_that_becomes_free_goes_to_the_own_question_although_a_neighbours_waits_longer() -> None:
    service = Service(slots=1, kv_tokens=0, first_token_s=0.0, prompt_token_s=0.0, alone_s=1.0, full_s=1.0)
    places = [Site("a", static(0), service, helpers=(1,)), Site("b", static(1), service)]
    guest, own = follow(places, [asked(1.0), asked(0.0, 2.0)])
    assert own.waits.seconds.tolist() == [0.0, 8.0]
    assert guest.waits.seconds.tolist() == [19.0]


def test_the_nearest_neighbour_is_asked_first() -> None:
    service = replace(FOREVER, slots=2)
    places = [
        Site("a", static(0), service, helpers=(2, 1)),
        Site("b", static(1), service),
        Site("c", static(1), service),
    ]
    questions = [[10.0], [20.0, 20.0], [20.0, 20.0]]
    numbered = counts(places, *questions)
    followed = follow(places, [asked(*each, tokens=200.0) for each in questions])
    for outcomes in (numbered, followed):
        assert outcomes[0].spilled == 1
        assert outcomes[1].waits.mean == 0
        assert outcomes[2].waits.mean > 0, "its second slot is taken by the neighbour's question"


def test_replicas_that_leave_keep_what_they_write_and_take_nothing_new() -> None:
    rules = replace(SHIPPED, target_value=100.0, min_replicas=1, behavior=AT_ONCE)
    place = Site("a", by_queue(rules, start=2), FOREVER)
    outcome = counts([place], [0.0] * 8 + [40.0] * 30)[0]
    at_60_s = next(change for change in outcome.path if change.t == 60.0)
    assert at_60_s.ready == 1
    assert at_60_s.in_work == 4 + 8, "half of the first eight leave with a replica; the other has 8 slots"
    assert at_60_s.waiting == 38 - 12


def test_a_queue_counts_what_is_in_work_at_a_neighbour_too() -> None:
    """20 asked, 16 of them at the neighbour: two replicas at 10 each."""
    rules = replace(SHIPPED, target_value=10.0, behavior=AT_ONCE)
    slow = Provisioning(node_s=0.0, model_s=100_000.0)
    places = [
        Site("a", by_queue(rules), FOREVER, slow, helpers=(1,)),
        Site("b", by_queue(replace(rules, min_replicas=4)), FOREVER, slow),
    ]
    home, helper = counts(places, [0.0] * 20, [])
    at_60_s = next(change for change in home.path if change.t == 60.0)
    assert (at_60_s.in_work, at_60_s.waiting, at_60_s.desired) == (16, 4, 2)
    assert helper.cold_starts == 0, "what it writes for others is counted where it was asked"


def test_nodes_that_are_kept_warm_are_not_given_back() -> None:
    nodes = Nodes(Provisioning(node_s=180.0, warm_nodes=1))
    assert nodes.take(0.0) == 0.0
    assert nodes.order_spare(0.0)
    nodes.spare_came()
    nodes.release()
    nodes.give_back(100.0)
    nodes.give_back(200.0)
    assert nodes.count == 1


def test_of_replicas_that_are_not_ready_the_newest_is_given_up() -> None:
    """The neighbour writes all answers; the first replica, ordered at once, is ready 400 s later."""
    rules = replace(SHIPPED, target_value=10.0, behavior=AT_ONCE)
    service = Service(slots=8, kv_tokens=0, first_token_s=0.0, prompt_token_s=0.0, alone_s=0.1, full_s=0.1)
    slow = Provisioning(node_s=0.0, model_s=400.0)
    places = [Site("a", by_queue(rules), service, slow, helpers=(1,)), Site("b", static(4), service)]
    questions = [0.0] * 5 + [200.0] * 30
    numbered = counts(places, questions, [], seconds=600.0)
    followed = follow(places, [asked(*questions, tokens=200.0), asked()])
    for outcomes in (numbered, followed):
        ready = {change.t: (change.ready, change.desired) for change in outcomes[0].path}
        assert outcomes[0].cold_starts > 1
        assert ready[300.0] == (0, 1)
        assert ready[480.0] == (1, 1)
