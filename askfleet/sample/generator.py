"""A support desk's two years, drawn from a seed: the same seed and base date give the same rows."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from itertools import count
from random import Random
from typing import NamedTuple

from askfleet.sample.rows import Agent, Customer, Desk, Product, Ticket, TicketEvent
from askfleet.sample.vocabulary import (
    COMPANY_STEMS,
    COMPANY_TRADES,
    FIRST_NAMES,
    LAST_NAMES,
    OFFICES,
    PLACES,
    PRODUCTS,
    TOPICS,
    Place,
    ProductLine,
    Topic,
)

DAYS = 730
TICKETS = 20_000
CUSTOMERS = 2_400
AGENTS = 42
SEED = 20

WEEKDAY_WEIGHTS = (1.25, 1.2, 1.1, 1.05, 1.0, 0.45, 0.35)
MONTH_WEIGHTS = (1.25, 1.05, 0.95, 0.9, 0.9, 0.85, 0.8, 0.8, 0.95, 1.0, 1.2, 1.35)
HOUR_WEIGHTS = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 18, 15, 12, 13, 15, 15, 13, 11, 9, 8, 7, 5, 3, 2)
GROWTH = 0.5
"""How many more tickets a day there are at the end than at the start."""

CHANNELS = {"email": 38, "chat": 27, "phone": 20, "web form": 15}
RESPONSE_HOURS = {"email": 4.0, "chat": 0.06, "phone": 0.02, "web form": 3.0}
PRIORITIES = {"low": 20, "normal": 55, "high": 19, "urgent": 6}
HASTE = {"low": 1.7, "normal": 1.0, "high": 0.55, "urgent": 0.25}
SEGMENTS = {"consumer": 70, "small business": 22, "enterprise": 8}
PLANS = {
    "consumer": {"free": 55, "standard": 36, "premium": 9},
    "small business": {"free": 12, "standard": 60, "premium": 28},
    "enterprise": {"free": 0, "standard": 25, "premium": 75},
}
TEAMS = {"front line": 20, "technical": 12, "billing": 6, "escalations": 4}

WEEKEND_DELAY = 1.8
CLOSES_AFTER = timedelta(days=7)
NEVER_SOLVED = 0.015
RATED = 0.45


class _Course(NamedTuple):
    """How one ticket went, before it is cut off at the base date."""

    first_response_at: datetime
    solved_at: datetime
    escalated: bool
    reopened_count: int


def generate(base_date: date, *, seed: int = SEED, tickets: int = TICKETS) -> Desk:
    """Rows of the two years that end on the day before `base_date`."""
    random = Random(seed)  # noqa: S311 - sample data, not a secret
    start = base_date - timedelta(days=DAYS)
    products = _products(base_date)
    customers = _customers(random, start, base_date)
    agents = _agents(random, start)
    desk = Desk(customers, agents, products, [], [])
    numbers = count(1)
    draft = _Draft(random, desk, datetime.combine(base_date, clock()))
    for identity, opened_at in enumerate(_openings(random, start, tickets), 1):
        ticket, course = draft.ticket(identity, opened_at)
        desk.tickets.append(ticket)
        desk.ticket_events.extend(draft.events(ticket, course, numbers))
    return desk


class _Draft:
    """Draws tickets; `now` is when the data ends."""

    def __init__(self, random: Random, desk: Desk, now: datetime) -> None:
        self._random = random
        self._now = now
        self._desk = desk
        self._teams = {team: [agent for agent in desk.agents if agent.team == team] for team in TEAMS}

    def ticket(self, identity: int, opened_at: datetime) -> tuple[Ticket, _Course]:
        random = self._random
        customer = self._customer(opened_at.date())
        product, line = self._product(opened_at.date())
        topic = random.choices(TOPICS, [_topic_weight(topic, line) for topic in TOPICS])[0]
        channel = _pick(random, CHANNELS)
        priority = self._priority(customer)
        course = self._course(opened_at, topic, channel=channel, priority=priority, plan=customer.plan)
        responded = course.first_response_at if course.first_response_at < self._now else None
        solved = course.solved_at if course.solved_at < self._now else None
        agent = self._agent(topic, course, opened_at.date()) if responded else None
        return Ticket(
            identity,
            customer.id,
            product.id,
            agent.id if agent else None,
            random.choice(topic.subjects).format(product=product.name),
            topic.name,
            channel,
            priority,
            self._status(responded, solved),
            opened_at,
            responded,
            solved,
            course.reopened_count if solved else 0,
            self._satisfaction(opened_at, course, topic) if solved else None,
        ), course

    def events(self, ticket: Ticket, course: _Course, numbers: Iterator[int]) -> Iterator[TicketEvent]:
        steps = self._steps(ticket, course)
        steps.sort(key=lambda step: step[1])
        for kind, at, agent_id in steps:
            if at < self._now:
                yield TicketEvent(next(numbers), ticket.id, agent_id, kind, at)

    def _steps(self, ticket: Ticket, course: _Course) -> list[tuple[str, datetime, int | None]]:
        agent, start, end = ticket.agent_id, ticket.opened_at, course.solved_at
        responded = ticket.first_response_at
        steps: list[tuple[str, datetime, int | None]] = [("opened", start, None)]
        if responded is None:
            return steps
        steps.append(("assigned", start + (responded - start) * 0.4, None))
        steps.append(("replied", responded, agent))
        replies = self._random.choices((0, 1, 2, 3), (40, 35, 17, 8))[0]
        steps.extend(("replied", self._between(responded, end), agent) for _ in range(replies))
        if course.escalated:
            steps.append(("escalated", self._between(responded, end), agent))
        steps.extend(("reopened", self._between(responded, end), None) for _ in range(ticket.reopened_count))
        if ticket.solved_at is not None:
            steps.append(("solved", ticket.solved_at, agent))
        if ticket.status == "closed":
            steps.append(("closed", end + CLOSES_AFTER, None))
        return steps

    def _customer(self, day: date) -> Customer:
        while True:
            # A few customers write often: the lower the number, the likelier.
            customer = self._desk.customers[int(len(self._desk.customers) * self._random.random() ** 1.6)]
            if customer.joined_on <= day:
                return customer

    def _product(self, day: date) -> tuple[Product, ProductLine]:
        sold = [number for number, product in enumerate(self._desk.products) if product.launched_on <= day]
        number = self._random.choices(sold, [PRODUCTS[number].weight for number in sold])[0]
        return self._desk.products[number], PRODUCTS[number]

    def _priority(self, customer: Customer) -> str:
        boost = 2.2 if customer.segment == "enterprise" else 1.0
        weights = {name: w * (boost if name in ("high", "urgent") else 1.0) for name, w in PRIORITIES.items()}
        return _pick(self._random, weights)

    def _course(
        self, opened_at: datetime, topic: Topic, *, channel: str, priority: str, plan: str
    ) -> _Course:
        random = self._random
        weekend = WEEKEND_DELAY if opened_at.weekday() >= 5 else 1.0
        care = 0.7 if plan == "premium" else 1.0
        wait_h = RESPONSE_HOURS[channel] * HASTE[priority] * weekend * care * random.lognormvariate(0, 0.8)
        escalated = random.random() < (0.14 if topic.name == "fault" else 0.04)
        reopened = random.choices((0, 1, 2), (90, 8.5, 1.5))[0]
        work_h = topic.hours * HASTE[priority] * weekend * care * random.lognormvariate(0, 0.9)
        work_h *= (2.5 if escalated else 1.0) * (1 + 0.8 * reopened)
        responded = _whole_seconds(opened_at + timedelta(hours=wait_h))
        if random.random() < NEVER_SOLVED:
            work_h = 24.0 * DAYS * 2
        return _Course(responded, _whole_seconds(responded + timedelta(hours=work_h)), escalated, reopened)

    def _agent(self, topic: Topic, course: _Course, day: date) -> Agent:
        team = self._teams["escalations" if course.escalated else topic.team]
        left_on = (self._now - timedelta(days=DAYS // 3)).date()
        present = [agent for agent in team if agent.hired_on <= day and (agent.is_active or day < left_on)]
        weights = [1 + agent.id % 4 for agent in present]
        return self._random.choices(present, weights)[0]

    def _status(self, responded: datetime | None, solved: datetime | None) -> str:
        if solved is not None:
            return "closed" if solved + CLOSES_AFTER < self._now else "solved"
        if responded is None:
            return "open"
        return "pending" if self._random.random() < 0.4 else "open"

    def _satisfaction(self, opened_at: datetime, course: _Course, topic: Topic) -> int | None:
        if self._random.random() > RATED:
            return None
        slowness = (course.solved_at - opened_at).total_seconds() / 3600 / topic.hours
        mean = 4.6 - min(1.6, 0.35 * slowness) - 0.7 * course.reopened_count - 0.3 * course.escalated
        return min(5, max(1, round(self._random.gauss(mean, 0.8))))

    def _between(self, start: datetime, end: datetime) -> datetime:
        return _whole_seconds(start + (end - start) * self._random.random())


def _openings(random: Random, start: date, tickets: int) -> list[datetime]:
    days = [start + timedelta(days=number) for number in range(DAYS)]
    weights = [
        WEEKDAY_WEIGHTS[day.weekday()] * MONTH_WEIGHTS[day.month - 1] * (1 + GROWTH * number / DAYS)
        for number, day in enumerate(days)
    ]
    hours = range(24)
    return sorted(
        datetime.combine(day, clock(random.choices(hours, HOUR_WEIGHTS)[0]))
        + timedelta(seconds=random.randrange(3600))
        for day in random.choices(days, weights, k=tickets)
    )


def _products(base_date: date) -> list[Product]:
    return [
        Product(number, line.name, line.category, Decimal(line.price), base_date - timedelta(line.age_days))
        for number, line in enumerate(PRODUCTS, 1)
    ]


def _customers(random: Random, start: date, base_date: date) -> list[Customer]:
    return [_customer(random, identity, start, base_date) for identity in range(1, CUSTOMERS + 1)]


def _customer(random: Random, identity: int, start: date, base_date: date) -> Customer:
    segment = _pick(random, SEGMENTS)
    place: Place = random.choices(PLACES, [place.weight for place in PLACES])[0]
    # Four in five were customers before the two years began.
    earlier = random.random() < 0.8
    since = start - timedelta(days=900) if earlier else start
    joined_on = since + timedelta(days=random.randrange(((start if earlier else base_date) - since).days))
    return Customer(
        identity,
        _person(random) if segment == "consumer" else _company(random),
        segment,
        _pick(random, PLANS[segment]),
        place.country,
        random.choice(place.cities),
        joined_on,
        random.random() < 0.91,
    )


def _agents(random: Random, start: date) -> list[Agent]:
    teams = [team for team, size in TEAMS.items() for _ in range(size)]
    names = _distinct_people(random, AGENTS)
    agents: list[Agent] = []
    for identity, (name, team) in enumerate(zip(names, teams, strict=True), 1):
        # The first of each team was there from the start and stays, so that no ticket is without a team.
        first = team not in {agent.team for agent in agents}
        hired_on = start + timedelta(days=random.randrange(-1100, -1 if first else 500))
        agents.append(
            Agent(identity, name, team, random.choice(OFFICES), hired_on, first or random.random() < 0.86)
        )
    return agents


def _distinct_people(random: Random, number: int) -> list[str]:
    names: dict[str, None] = {}
    while len(names) < number:
        names[_person(random)] = None
    return list(names)


def _person(random: Random) -> str:
    return f"{random.choice(FIRST_NAMES)} {random.choice(LAST_NAMES)}"


def _company(random: Random) -> str:
    return f"{random.choice(COMPANY_STEMS)} {random.choice(COMPANY_TRADES)}"


def _topic_weight(topic: Topic, line: ProductLine) -> float:
    if topic.name == "delivery" and line.category == "software":
        return 0.0
    return topic.weight * (line.fault_factor if topic.name == "fault" else 1.0)


def _pick(random: Random, weights: dict[str, int] | dict[str, float]) -> str:
    names: Sequence[str] = list(weights)
    return random.choices(names, list(weights.values()))[0]


def _whole_seconds(at: datetime) -> datetime:
    return at.replace(microsecond=0)
