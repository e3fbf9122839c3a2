"""Tables that refer to themselves: an employee's manager, who referred a buyer."""

import pytest

from workers.catalogue.model import Column, Entity, Join, SemanticModel
from workers.sql.planner import Planner, Proposal


def _key(name: str) -> Column:
    return Column(name, "number", role="id")


MODEL = SemanticModel(
    entities=(
        Entity(
            "public",
            "employees",
            "employees",
            (
                _key("employee_id"),
                Column("full_name", "text", values=("Ann Lee", "Bob Ray")),
                Column("salary", "number", role="measure"),
                Column("hire_date", "date", role="date"),
                Column("city", "text", values=("Oslo", "Rome")),
                _key("manager_id"),
            ),
            primary_key=("employee_id",),
            display=("full_name",),
        ),
        Entity(
            "public",
            "buyers",
            "buyers",
            (_key("buyer_id"), Column("buyer_name", "text", values=("Nora Beck",)), _key("referrer_id")),
            primary_key=("buyer_id",),
            display=("buyer_name",),
        ),
    ),
    joins=(
        Join("public.employees", "public.employees", (("manager_id", "employee_id"),)),
        Join("public.buyers", "public.buyers", (("referrer_id", "buyer_id"),)),
    ),
)
PLANNER = Planner(MODEL)
_ABOVE = "employees.employee_id IN (SELECT employees.manager_id"
_BELOW = "employees.manager_id IN (SELECT employees.employee_id"


def _plan(question: str) -> Proposal:
    proposal = PLANNER.plan(question)
    assert isinstance(proposal, Proposal), proposal
    return proposal


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Which employees earn more than their manager?", ["employees.salary > (SELECT other.salary"]),
        ("Names of employees who have a higher salary than their boss", ["salary > (SELECT other.salary"]),
        (
            "Employees whose salary is less than the salary of their manager",
            ["salary < (SELECT other.salary"],
        ),
        ("Which employees were hired before their supervisor?", ["hire_date < (SELECT other.hire_date"]),
        ("Who manages Ann Lee?", [_ABOVE, "= 'Ann Lee'"]),
        ("What is the salary of Bob Ray's manager?", ["SELECT employees.salary", _ABOVE, "= 'Bob Ray'"]),
        ("Which employees report to Bob Ray?", [_BELOW, "= 'Bob Ray'"]),
        ("Who reports to Bob Ray?", [_BELOW, "= 'Bob Ray'"]),
        ("How many employees does Bob Ray manage?", ["COUNT(*)", _BELOW]),
        ("List employees in Oslo who have no manager", ["city = 'Oslo'", "manager_id IS NULL"]),
        ("Names of employees who do not manage anyone", ["NOT employees.employee_id IN (SELECT"]),
        ("Which buyers were referred by Nora Beck?", ["buyers.referrer_id IN (SELECT buyers.buyer_id"]),
    ],
)
def test_a_clause_about_the_other_row_becomes_a_condition_on_the_reference(
    question: str, parts: list[str]
) -> None:
    proposal = _plan(question)
    assert proposal.confident, proposal
    for part in parts:
        assert part in proposal.sql, proposal.sql


@pytest.mark.parametrize(
    ("question", "part"),
    [
        (
            "Show the name of each employee and the name of their manager",
            "employees.full_name, other.full_name",
        ),
        ("How many employees does each manager manage?", "GROUP BY other.full_name"),
        ("Which manager has the most employees?", "ORDER BY COUNT(*) DESC"),
    ],
)
def test_rows_beside_their_other_row_are_answered_without_confidence(question: str, part: str) -> None:
    proposal = _plan(question)
    assert part in proposal.sql
    assert not proposal.confident


def test_a_question_about_the_table_alone_is_not_touched() -> None:
    proposal = _plan("How many employees live in Rome?")
    assert proposal.confident
    assert "manager_id" not in proposal.sql


def test_who_is_not_managed_by_one_is_not_who_is_managed_by_them() -> None:
    assert not _plan("Employees not managed by Bob Ray").confident


def test_what_may_be_said_of_either_row_is_answered_without_confidence() -> None:
    assert not _plan("How many employees report to Ann Lee and live in Oslo?").confident
