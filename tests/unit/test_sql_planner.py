"""The planner on a small shop: the SQL that it makes, and what it says it can't."""

from datetime import date

import pytest
import sqlglot
from shop import MODEL
from sqlglot import exp

from workers.catalogue.linking import SchemaIndex, link
from workers.catalogue.tokens import tokenise
from workers.sql.dates import find_moments
from workers.sql.planner import NoProposal, Planner, Proposal

PLANNER = Planner(MODEL)


def plan(question: str) -> Proposal:
    proposal = PLANNER.plan(question)
    assert isinstance(proposal, Proposal), proposal
    return proposal


def sql(question: str) -> str:
    return plan(question).sql


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("How many customers are there?", ["COUNT(*)", "FROM public.customers"]),
        ("How many shoppers do we have?", ["COUNT(*)", "FROM public.customers"]),
        ("List the names of all products", ["products.product_name"]),
        (
            "What are the first and last names of the customers?",
            ["customers.first_name", "customers.last_name"],
        ),
        ("How many customers live in Oslo?", ["COUNT(*)", "customers.city = 'Oslo'"]),
        ("Which products cost more than 50?", ["products.price > 50"]),
        ("Products with a price between 50 and 100", ["products.price BETWEEN 50 AND 100"]),
        ("What is the average price of the products?", ["AVG(products.price)"]),
        ("Show the maximum and minimum price of products", ["MAX(products.price)", "MIN(products.price)"]),
        ("What is the average price per category?", ["AVG(products.price)", "GROUP BY products.category"]),
        ("How many orders are open?", ["COUNT(*)", "orders.status = 'open'"]),
        ("Number of customers by country", ["COUNT(*)", "GROUP BY customers.country"]),
        ("What is the most expensive product?", ["ORDER BY products.price DESC", "LIMIT 1"]),
        ("Show the 3 cheapest products", ["ORDER BY products.price", "LIMIT 3"]),
        ("Which customer has the most orders?", ["GROUP BY", "ORDER BY COUNT(*) DESC", "LIMIT 1"]),
        ("Which customers have at least 2 orders?", ["HAVING COUNT(*) >= 2"]),
        ("Which customers have never placed an order?", ["NOT", "IN (SELECT"]),
        ("List product names in descending order of price", ["ORDER BY products.price DESC"]),
        ("Which products are more expensive than average price?", ["AVG(products.price)"]),
        ("How many orders were placed in 2024?", ["order_date >= CAST('2024-01-01' AS DATE)"]),
        ("Orders placed after 2024-02-01", ["orders.order_date > CAST('2024-02-01' AS DATE)"]),
        ("How many orders were placed last month?", ["DATE_TRUNC('MONTH', CURRENT_DATE)"]),
        ("Number of orders per month", ["DATE_TRUNC('MONTH', orders.order_date)", "GROUP BY"]),
        ("How many different cities do customers live in?", ["COUNT(DISTINCT customers.city)"]),
        ('Customers whose email address contains "example.org"', ["ILIKE '%example.org%'"]),
        ("What is the email address of Ada Lopez?", ["first_name = 'Ada'", "last_name = 'Lopez'"]),
        ("Which customers are from Norway or Portugal?", ["country IN ('Norway', 'Portugal')"]),
        ("Which products did customers from Norway order?", ["customers.country = 'Norway'", "order_lines"]),
    ],
)
def test_a_question_becomes_the_statement_it_asks_for(question: str, parts: list[str]) -> None:
    made = sql(question)
    assert all(part in made for part in parts), made


def test_counting_over_a_join_counts_each_row_once() -> None:
    made = sql("How many customers have ordered a Lamp?")
    assert "COUNT(DISTINCT customers.customer_id)" in made


def test_a_join_goes_over_the_tables_between() -> None:
    made = sqlglot.parse_one(sql("Which products did Ada Lopez order?"), dialect="postgres")
    assert {table.name for table in made.find_all(exp.Table)} == {
        "products",
        "order_lines",
        "orders",
        "customers",
    }


def test_a_question_that_is_covered_is_answered_with_confidence() -> None:
    assert plan("How many customers live in Oslo?").confident


@pytest.mark.parametrize(
    "question",
    [
        "What is the ratio of orders to churned customers?",
        "How many customers churned?",
        "Which customers live in Atlantis?",
        "Why do customers in Oslo complain about late parcels?",
    ],
)
def test_words_without_a_place_take_the_confidence(question: str) -> None:
    proposal = plan(question)
    assert not proposal.confident
    assert proposal.unexplained


def test_a_question_about_something_else_gets_no_statement() -> None:
    proposal = PLANNER.plan("What is the capital of France?")
    assert isinstance(proposal, NoProposal)
    assert proposal.reason


def test_a_value_with_a_quote_is_a_literal_and_no_syntax() -> None:
    made = sql('Customers whose city is "Oslo\'; drop table customers; --"')
    tree = sqlglot.parse(made, dialect="postgres")
    assert len(tree) == 1
    assert any(literal.this == "Oslo'; drop table customers; --" for literal in tree[0].find_all(exp.Literal))


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("before 2023-06-01", "DATE '2023-06-01'", "DATE '2023-06-02'"),
        ("on June 21, 2002", "DATE '2002-06-21'", "DATE '2002-06-22'"),
        ("after 7th September, 1987", "DATE '1987-09-07'", "DATE '1987-09-08'"),
        ("in March 2023", "DATE '2023-03-01'", "DATE '2023-04-01'"),
        ("in December 2023", "DATE '2023-12-01'", "DATE '2024-01-01'"),
        ("in 2024", "DATE '2024-01-01'", "DATE '2025-01-01'"),
        ("Q4 2023", "DATE '2023-10-01'", "DATE '2024-01-01'"),
        ("first quarter of 2023", "DATE '2023-01-01'", "DATE '2023-04-01'"),
        ("last 30 days", "CURRENT_DATE - INTERVAL '30 day'", None),
        (
            "previous quarter",
            "DATE_TRUNC('quarter', CURRENT_DATE) - INTERVAL '3 month'",
            "DATE_TRUNC('quarter', CURRENT_DATE)",
        ),
        (
            "last month",
            "DATE_TRUNC('month', CURRENT_DATE) - INTERVAL '1 month'",
            "DATE_TRUNC('month', CURRENT_DATE)",
        ),
        ("today", "CURRENT_DATE", "CURRENT_DATE + INTERVAL '1 day'"),
    ],
)
def test_a_time_becomes_bounds(text: str, start: str, end: str | None) -> None:
    (moment,) = find_moments(tokenise(text))
    assert (moment.start, moment.end) == (start, end)


@pytest.mark.parametrize("text", ["2023-13-45", "February 31, 2023", "room 2024", f"{date.min.year} things"])
def test_what_is_no_time_is_left_alone(text: str) -> None:
    assert find_moments(tokenise(text)) == []


def test_links_find_tables_columns_and_values_and_their_coverage() -> None:
    index = SchemaIndex(MODEL)
    links = link("How many costumers live in Oslo?", index)
    assert {"public.customers"} == {target.entity for found in links.links for target in found.targets}
    assert links.value_coverage > 0
    assert link("What is the meaning of life?", index).coverage == 0.0


def test_names_meet_whatever_their_word_boundaries() -> None:
    index = SchemaIndex(MODEL)
    for phrase in (["Order", "Lines"], ["orderline"], ["order_lines"]):
        assert index.phrase(phrase)[0].entity == "sales.order_lines"
