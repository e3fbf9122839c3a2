"""Readings of a question that go beyond one condition: alternatives, exceptions, extremes, and doubts."""

from dataclasses import replace

import pytest
import sqlglot
from shop import MODEL
from sqlglot import exp

from workers.catalogue.model import Column, Entity, Join, SemanticModel
from workers.sql.planner import Planner, Proposal


def _with(table: str, *columns: Column) -> SemanticModel:
    return replace(
        MODEL, entities=tuple(_grown(e, columns) if e.table == table else e for e in MODEL.entities)
    )


def _grown(entity: Entity, columns: tuple[Column, ...]) -> Entity:
    return replace(entity, columns=(*entity.columns, *columns))


PLANNER = Planner(_with("customers", Column("sex", "text", values=("F", "M")), Column("phone", "text")))


def plan(question: str) -> Proposal:
    proposal = PLANNER.plan(question)
    assert isinstance(proposal, Proposal), proposal
    return proposal


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Products with a price above 150 or whose category is Lighting", [" OR "]),
        ("How many female customers are there?", ["customers.sex = 'F'", "COUNT(*)"]),
        ("List the cities of the male customers", ["customers.sex = 'M'"]),
        ("Which customers do not have a phone?", ["customers.phone IS NULL"]),
        ("Which customers have no phone?", ["customers.phone IS NULL"]),
        ("Count the orders whose status is neither open nor closed", ["NOT", "'open'", "'closed'"]),
        ("Names of all customers except for customers having an order in 2024", ["NOT", "IN (SELECT"]),
        (
            "List the names and prices of products from the most expensive to the cheapest",
            ["ORDER BY products.price DESC"],
        ),
        ("How many order lines are there for the product with the highest price?", ["= (SELECT", "LIMIT 1"]),
        ("What are the average and the maximum price of products?", ["AVG(", "MAX("]),
    ],
)
def test_the_statement_says_what_the_question_says(question: str, parts: list[str]) -> None:
    statement = plan(question).sql
    for part in parts:
        assert part in statement, statement


def test_most_expensive_first_keeps_every_row() -> None:
    tree = sqlglot.parse_one(plan("List all products, most expensive first").sql, dialect="postgres")
    assert tree.args.get("limit") is None
    assert tree.find(exp.Ordered)


def test_an_average_per_row_in_each_group_groups_once() -> None:
    statement = plan("What is the average price per product for each category?").sql
    assert "GROUP BY products.category" in statement
    assert "product_name" not in statement


@pytest.mark.parametrize(
    "question",
    [
        "How many things are in the category Lighting?",
        "Which products cost more than any product in Lighting?",
        "List customers and the number of orders of each, including customers without orders",
        "When was Ada Lopez born?",
        "Products of the category Lighting with a price above 10 or a price below 3 and named Lamp",
    ],
)
def test_what_may_be_misread_is_not_answered_with_confidence(question: str) -> None:
    assert not plan(question).confident


def test_common_questions_stay_confident() -> None:
    for question in (
        "How many customers live in Oslo?",
        "How many female customers are there?",
        "Products with a price above 150 or whose category is Lighting",
        "How many different cities do customers live in?",
    ):
        assert plan(question).confident, question


def test_a_table_that_refers_to_both_joins_two_rather_than_what_both_refer_to() -> None:
    def key(name: str) -> Column:
        return Column(name, "number", role="id")

    def entity(table: str, *columns: Column) -> Entity:
        return Entity("public", table, table, columns, primary_key=(columns[0].name,), display=("name",))

    name = Column("name", "text")
    school = SemanticModel(
        entities=(
            entity("faculties", key("faculty_id"), name),
            entity("pupils", key("pupil_id"), name, key("faculty_id")),
            entity("classes", key("class_id"), name, key("faculty_id")),
            entity("visits", key("visit_id"), key("pupil_id"), key("class_id"), name),
        ),
        joins=(
            Join("public.classes", "public.faculties", (("faculty_id", "faculty_id"),)),
            Join("public.pupils", "public.faculties", (("faculty_id", "faculty_id"),)),
            Join("public.visits", "public.pupils", (("pupil_id", "pupil_id"),)),
            Join("public.visits", "public.classes", (("class_id", "class_id"),)),
        ),
    )
    proposal = Planner(school).plan("Which classes have no pupils?")
    assert isinstance(proposal, Proposal)
    assert "public.visits" in proposal.sql
    assert "public.faculties" not in proposal.sql
