"""Rows of the sample database, fields in the order of the columns."""

from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple


class Customer(NamedTuple):
    id: int
    name: str
    segment: str
    plan: str
    country: str
    city: str
    joined_on: date
    is_active: bool


class Agent(NamedTuple):
    id: int
    name: str
    team: str
    office: str
    hired_on: date
    is_active: bool


class Product(NamedTuple):
    id: int
    name: str
    category: str
    price: Decimal
    launched_on: date


class Ticket(NamedTuple):
    id: int
    customer_id: int
    product_id: int
    agent_id: int | None
    subject: str
    topic: str
    channel: str
    priority: str
    status: str
    opened_at: datetime
    first_response_at: datetime | None
    solved_at: datetime | None
    reopened_count: int
    satisfaction: int | None


class TicketEvent(NamedTuple):
    id: int
    ticket_id: int
    agent_id: int | None
    kind: str
    happened_at: datetime


class Desk(NamedTuple):
    """One field for each table, in an order that satisfies the foreign keys."""

    customers: list[Customer]
    agents: list[Agent]
    products: list[Product]
    tickets: list[Ticket]
    ticket_events: list[TicketEvent]
