from collections import Counter
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest

from askfleet.sample.generator import DAYS, generate
from askfleet.sample.rows import Desk

BASE_DATE = date(2026, 7, 1)


@pytest.fixture(scope="module")
def desk() -> Desk:
    return generate(BASE_DATE, tickets=4_000)


def test_the_same_seed_and_base_date_give_the_same_rows(desk: Desk):
    assert generate(BASE_DATE, tickets=4_000) == desk


def test_another_seed_gives_other_rows(desk: Desk):
    assert generate(BASE_DATE, seed=21, tickets=4_000).tickets != desk.tickets


def test_tickets_cover_the_two_years_before_the_base_date_and_nothing_after(desk: Desk):
    opened = [ticket.opened_at for ticket in desk.tickets]
    assert opened == sorted(opened)
    assert opened[0].date() < BASE_DATE - timedelta(days=DAYS - 10)
    end = datetime(2026, 7, 1)
    moments = [*opened, *(event.happened_at for event in desk.ticket_events)]
    moments += [ticket.solved_at for ticket in desk.tickets if ticket.solved_at]
    assert max(moments) < end
    assert max(opened) > end - timedelta(days=5)


def test_weekdays_are_busier_than_weekends_and_winters_than_summers(desk: Desk):
    weekdays = Counter(ticket.opened_at.weekday() for ticket in desk.tickets)
    assert min(weekdays[day] for day in range(5)) > 1.5 * max(weekdays[5], weekdays[6])
    months = Counter(ticket.opened_at.month for ticket in desk.tickets)
    assert months[12] > 1.2 * months[7]


def test_urgent_tickets_are_answered_sooner_than_low_ones(desk: Desk):
    def mean_wait_s(priority: str) -> float:
        waits = [
            (ticket.first_response_at - ticket.opened_at).total_seconds()
            for ticket in desk.tickets
            if ticket.priority == priority and ticket.first_response_at
        ]
        return sum(waits) / len(waits)

    assert mean_wait_s("urgent") < 0.5 * mean_wait_s("low")


def test_each_ticket_refers_to_rows_that_were_there_when_it_was_opened(desk: Desk):
    customers = {customer.id: customer for customer in desk.customers}
    products = {product.id: product for product in desk.products}
    agents = {agent.id: agent for agent in desk.agents}
    for ticket in desk.tickets:
        day = ticket.opened_at.date()
        assert customers[ticket.customer_id].joined_on <= day
        assert products[ticket.product_id].launched_on <= day
        assert (ticket.agent_id is None) == (ticket.first_response_at is None)
        assert ticket.agent_id is None or agents[ticket.agent_id].hired_on <= day
        assert (ticket.status in ("solved", "closed")) == (ticket.solved_at is not None)


def test_the_events_of_a_ticket_tell_its_story_in_order(desk: Desk):
    stories: dict[int, list[tuple[str, datetime]]] = {}
    for event in desk.ticket_events:
        stories.setdefault(event.ticket_id, []).append((event.kind, event.happened_at))
    assert len(stories) == len(desk.tickets)
    for ticket in desk.tickets:
        story = stories[ticket.id]
        assert story[0] == ("opened", ticket.opened_at)
        assert all(before[1] <= after[1] for before, after in pairwise(story))
        assert ("solved" in [kind for kind, _ in story]) == (ticket.solved_at is not None)
