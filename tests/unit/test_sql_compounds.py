"""Ratios, shares, rows per row and the best of each group, on the shop."""

from dataclasses import replace

import pytest
from shop import MODEL

from workers.catalogue.model import Column
from workers.sql.guard import guard
from workers.sql.planner import Planner, Proposal

PLANNER = Planner(MODEL)


def plan(question: str) -> Proposal:
    proposal = PLANNER.plan(question)
    assert isinstance(proposal, Proposal), proposal
    assert guard(proposal.sql, MODEL, row_limit=10).sql
    return proposal


@pytest.mark.parametrize(
    ("question", "above", "below"),
    [
        ("What is the ratio of orders to customers?", "sales.orders", "public.customers"),
        ("Ratio of the number of customers to the number of products", "public.customers", "public.products"),
        ("Show the ratio of open orders to closed orders", "= 'open'", "= 'closed'"),
    ],
)
def test_a_ratio_divides_one_number_by_the_other(question: str, above: str, below: str) -> None:
    proposal = plan(question)
    left, _, right = proposal.sql.partition(" / NULLIF(")
    assert above in left
    assert below in right
    assert proposal.confident


@pytest.mark.parametrize(
    ("question", "condition", "hundredfold"),
    [
        ("What percentage of customers are from Norway?", "country = 'Norway'", True),
        ("How many percent of the products are in Furniture?", "category = 'Furniture'", True),
        ("Show the percentage of orders that are open", "status = 'open'", True),
        ("What share of products cost more than 50?", "price > 50", False),
        ("Which proportion of orders was placed in 2024?", "order_date >=", False),
        ("What is the fraction of customers who live in Oslo?", "city = 'Oslo'", False),
    ],
)
def test_a_share_has_the_condition_above_and_all_rows_below(
    question: str, condition: str, hundredfold: bool
) -> None:
    proposal = plan(question)
    left, _, right = proposal.sql.partition(" / NULLIF(")
    assert condition in left
    assert "WHERE" not in right
    assert ("100.0 *" in left) is hundredfold
    assert proposal.confident


@pytest.mark.parametrize(
    "question",
    [
        "What is the average number of orders per customer?",
        "How many orders per customer are there on average?",
        "Show the average number of orders for each customer",
    ],
)
def test_rows_for_each_row_of_another_table_are_a_guess(question: str) -> None:
    proposal = plan(question)
    assert " / NULLIF(" in proposal.sql
    assert not proposal.confident


@pytest.mark.parametrize(
    "question",
    [
        "What is the most expensive product of each category?",
        "Which product is the most expensive in each category?",
        "Show the product with the highest price in every category",
        "Products with the highest price per category",
        "For every category, list the priciest product",
    ],
)
def test_the_best_of_each_group_is_ranked_within_its_group(question: str) -> None:
    proposal = plan(question)
    assert "RANK() OVER (PARTITION BY products.category ORDER BY products.price DESC" in proposal.sql
    assert "product_name" in proposal.sql
    assert "place <= 1" in proposal.sql
    assert proposal.confident


def test_the_best_few_of_each_group_and_the_best_by_count() -> None:
    few = plan("Show the names of the 2 cheapest products in each category").sql
    assert "ORDER BY products.price ASC" in few
    assert "place <= 2" in few
    most = plan("Which customer has the most orders in each country?").sql
    assert "PARTITION BY customers.country ORDER BY COUNT(*) DESC" in most


def test_the_highest_value_of_each_group_is_no_row_of_it() -> None:
    made = plan("What is the highest price in each category?").sql
    assert "MAX(products.price)" in made
    assert "RANK" not in made


@pytest.mark.parametrize(
    "question",
    [
        "Which customers live in Oslo or never placed an order?",
        "What is the ratio of orders to customers for each country?",
        "What percentage of revenue do lamps make?",
    ],
)
def test_what_can_not_be_put_together_is_not_answered_with_confidence(question: str) -> None:
    proposal = PLANNER.plan(question)
    assert not (isinstance(proposal, Proposal) and proposal.confident)


def test_the_same_column_of_two_tables_is_listed_below_each_other() -> None:
    products = MODEL.by_key["public.products"]
    made_in = replace(products, columns=(*products.columns, Column("city", "text", values=("Bergen",))))
    rest = tuple(entity for entity in MODEL.entities if entity.key != products.key)
    planner = Planner(replace(MODEL, entities=(*rest, made_in)))
    for question in (
        "Find the city of all customers and products",
        "List the cities of customers and products",
    ):
        proposal = planner.plan(question)
        assert isinstance(proposal, Proposal), proposal
        first, _, second = proposal.sql.partition(" UNION ")
        assert "customers.city" in first
        assert "products.city" in second
