"""What replicas, nodes and the rules of scaling do to questions that are simulated one by one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from askfleet.scaling import Behavior, read_scaled_object
from askfleet.scaling.scaled_object import DEFAULT_DOWN, DEFAULT_UP
from askfleet.simulation.demand import Demand, Lengths, constant, day, demand, with_spike
from askfleet.simulation.following import follow
from askfleet.simulation.nodes import Provisioning
from askfleet.simulation.outcome import Outcome
from askfleet.simulation.policy import Cpu, Policy, by_cpu, by_queue, enough_for, static
from askfleet.simulation.service import Service
from askfleet.simulation.site import Site

SHIPPED = read_scaled_object(
    Path(__file__).parents[2] / "deploy/keda/base/scaledobjects/generation-default.yaml"
)
VLLM, CLOUD = Service(), Provisioning()
HALF_HOUR = demand(constant(8.0, 30), Lengths(), seed=1)


def asked_at(*at_s: float, tokens: float = 100.0, prompt: float = 0.0, seconds: float = 600.0) -> Demand:
    count = len(at_s)
    return Demand(np.array(at_s), np.full(count, prompt), np.full(count, tokens), seconds)


def run(policy: Policy, asked: Demand, service: Service = VLLM, nodes: Provisioning = CLOUD) -> Outcome:
    return follow([Site("here", policy, service, nodes)], [asked])[0]


def test_tokens_come_slower_the_more_answers_are_written_at_once() -> None:
    service = Service(slots=2, kv_tokens=0, first_token_s=0.0, prompt_token_s=0.0, alone_s=0.1, full_s=0.2)
    alone = run(static(1), asked_at(0.0), service)
    assert alone.answer_s == pytest.approx(10.0)
    # Two at once: 100 tokens at 0.2 s; both end together.
    assert run(static(1), asked_at(0.0, 0.0), service).answer_s == pytest.approx(20.0)
    # The second comes after 5 s: 50 tokens alone, then 50 beside it (10 s); it has 50 left, alone (5 s).
    assert run(static(1), asked_at(0.0, 5.0), service).answer_s == pytest.approx((15.0 + 15.0) / 2)


def test_the_first_token_waits_for_the_prompt() -> None:
    service = Service(first_token_s=0.5, prompt_token_s=0.001, alone_s=0.1, full_s=0.1)
    assert run(static(1), asked_at(0.0, prompt=2_000.0), service).answer_s == pytest.approx(0.5 + 2.0 + 10.0)


def test_what_the_cache_does_not_hold_waits_in_the_queue_although_slots_are_free() -> None:
    service = Service(slots=8, kv_tokens=250, first_token_s=0.0, prompt_token_s=0.0, alone_s=0.1, full_s=0.1)
    waits = run(static(1), asked_at(0.0, 0.0, 0.0), service).waits.seconds
    assert waits.tolist() == pytest.approx([0.0, 0.0, 10.0])


def test_an_answer_that_the_whole_cache_does_not_hold_is_written_alone() -> None:
    service = Service(slots=8, kv_tokens=50, first_token_s=0.0, prompt_token_s=0.0, alone_s=0.1, full_s=0.1)
    assert service.at_once(100.0) == 1
    assert service.per_s(0.0, 100.0) == pytest.approx(0.1)
    waits = run(static(1), asked_at(0.0, 0.0), service).waits.seconds
    assert waits.tolist() == pytest.approx([0.0, 10.0])


def test_the_first_question_after_nothing_waits_for_keda_a_node_and_the_model() -> None:
    nodes = Provisioning(node_s=180.0, model_s=120.0)
    cold = run(by_queue(SHIPPED), asked_at(61.0), nodes=nodes)
    assert cold.waits.seconds[0] == pytest.approx(4.0 + 300.0), "KEDA polls each 5 s: at 65 s"
    warm = run(by_queue(SHIPPED, warm_nodes=1), asked_at(61.0), nodes=nodes)
    assert warm.waits.seconds[0] == pytest.approx(4.0 + 120.0)
    ready = run(by_queue(replace(SHIPPED, min_replicas=1)), asked_at(61.0), nodes=nodes)
    assert ready.waits.seconds[0] == 0.0


def test_gpu_hours_count_nodes_from_their_order_until_they_are_given_back() -> None:
    assert run(static(3), asked_at(0.0, seconds=7_200.0)).gpu_hours == pytest.approx(6.0)
    nodes = Provisioning(node_s=180.0, model_s=120.0, keep_node_s=300.0, gpus=2)
    service = Service(slots=1, first_token_s=0.0, prompt_token_s=0.0, alone_s=0.1, full_s=0.1)
    once = run(by_queue(SHIPPED), asked_at(0.0, seconds=7_200.0), service, nodes)
    # Ordered at 5 s, the poll after the question's, or at 0 s with it; ready 300 s later, 10 s in work, then
    # the cooldown of 600 s strictly passed at a poll, then 300 s kept.
    assert once.gpu_hours * 3_600 / 2 == pytest.approx(300 + 10 + 600 + 300, abs=11)
    assert once.cold_starts == 1


ONE_AT_ONCE = Service(slots=1, kv_tokens=0, first_token_s=0.0, prompt_token_s=0.0, alone_s=1.0, full_s=1.0)
HASTY = replace(
    SHIPPED,
    target_value=1.0,
    min_replicas=1,
    behavior=Behavior(up=DEFAULT_UP, down=replace(DEFAULT_DOWN, window_s=0)),
)
"""Syncs of the HPA come 7.5 s after the start, and then each 15 s."""


def test_a_warm_node_is_kept_and_ordered_again_when_it_is_taken() -> None:
    assert run(by_queue(SHIPPED, warm_nodes=1), asked_at(seconds=3_600.0)).gpu_hours == pytest.approx(1.0)
    once = run(by_queue(SHIPPED, warm_nodes=1), asked_at(0.0, seconds=7_200.0))
    # One node all the time; the spare of the time in which the other served: 120 s of start, an answer, the
    # cooldown of 600 s, 300 s kept.
    assert once.gpu_hours * 3_600 == pytest.approx(7_200 + 120 + 600 + 300, abs=25)


def test_scale_in_takes_the_idle_replica_although_it_is_older() -> None:
    asked = Demand(np.zeros(2), np.zeros(2), np.array([10.0, 300.0]), seconds=400.0)
    nodes = Provisioning(node_s=0.0, model_s=0.0, keep_node_s=0.0)
    outcome = run(by_queue(HASTY, start=2), asked, ONE_AT_ONCE, nodes)
    assert outcome.gpu_hours * 3_600 == pytest.approx(2 * 22.5 + (400 - 22.5))


def test_scale_in_takes_what_is_not_ready_before_what_serves() -> None:
    asked = asked_at(0.0, 0.0, 60.0, tokens=10.0)
    outcome = run(by_queue(HASTY), asked, ONE_AT_ONCE)
    assert outcome.cold_starts == 1
    assert outcome.waits.seconds.tolist() == pytest.approx([0.0, 10.0, 0.0])


def test_scale_in_loses_no_question_and_interrupts_none() -> None:
    asked = demand(with_spike(constant(1.0, 60), at_minute=5, minutes=5, to=30.0), Lengths(), seed=2)
    outcome = run(by_queue(replace(SHIPPED, min_replicas=1)), asked)
    ready = [change.ready for change in outcome.path]
    assert max(ready) > 2
    assert ready[-1] == 1
    assert outcome.unbegun == 0
    assert len(outcome.waits) == len(asked)
    assert outcome.answer_s > 0


def test_the_same_seed_gives_the_same_run_and_another_one_does_not() -> None:
    first, again = (run(by_queue(SHIPPED), demand(constant(2.0, 20), Lengths(), seed=7)) for _ in range(2))
    other = run(by_queue(SHIPPED), demand(constant(2.0, 20), Lengths(), seed=8))
    assert first.figures(120.0) == again.figures(120.0)
    assert first.path == again.path
    assert first.figures(120.0) != other.figures(120.0)


def test_cpu_says_that_there_is_work_and_not_how_much() -> None:
    """8 questions a second are more than one replica can write: the queue shows it, CPU does not."""
    assert Service().per_s(2_000, 200) < 8.0
    lazy = run(by_cpu(SHIPPED, 80), HALF_HOUR)
    eager = run(by_cpu(SHIPPED, 15), HALF_HOUR)
    queue = run(by_queue(replace(SHIPPED, min_replicas=1)), HALF_HOUR)
    assert lazy.most_ready == 1, "a replica that writes at full speed never uses 80 % of 4 cores"
    assert lazy.waits.quantile(0.95) > 3 * queue.waits.quantile(0.95)
    assert eager.most_ready > queue.most_ready
    assert eager.gpu_hours > 1.5 * queue.gpu_hours
    assert Cpu().percent(64) < 1.3 * Cpu().percent(1)


def test_cpu_can_not_scale_to_nothing() -> None:
    outcome = run(by_cpu(SHIPPED, 50), asked_at(0.0, seconds=3_600.0))
    assert min(change.ready for change in outcome.path) == 1


def test_a_target_above_the_slots_lets_a_queue_grow_before_anything_is_added() -> None:
    """In a batch server what is in work follows from the rate, not from the number of replicas."""
    asked = demand(constant(20.0, 35), Lengths(), seed=3)
    above = run(by_queue(replace(SHIPPED, target_value=80.0, min_replicas=2)), asked)
    below = run(by_queue(replace(SHIPPED, target_value=56.0, min_replicas=2)), asked)
    assert below.waits.quantile(0.99) < above.waits.quantile(0.99)
    settled = [change.ready for change in below.path if change.t > 1_500.0]
    assert max(settled) <= 1.5 * enough_for(day(20.0), Service(), (2_000, 200)), "it does not run away"
