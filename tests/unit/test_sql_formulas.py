"""Terms that are defined by a formula: found in comments, compiled to expressions, used by the planner."""

from dataclasses import replace

import pytest

from workers.catalogue.definitions import find_definitions, find_labels, find_synonyms, find_unit
from workers.catalogue.linking import SchemaIndex
from workers.catalogue.model import Column, Entity, Formula, Join, SemanticModel
from workers.sql.formulas import FormulaRefused, compile_formula
from workers.sql.guard import guard
from workers.sql.planner import NoProposal, Planner
from workers.sql.terms import plan


def number(name: str, role: str = "measure") -> Column:
    return Column(name, "number", role)  # type: ignore[arg-type]


BOATS = Entity(
    "public", "boats", "boats",
    (number("boat_id", "id"), Column("boat_name", "text", values=("Heron", "Gull")), number("upkeep")),
    primary_key=("boat_id",), display=("boat_name",),
)  # fmt: skip
TRIPS = Entity(
    "public", "trips", "trips",
    (
        number("trip_id", "id"), number("boat_id", "id"), Column("sailed_on", "date", "date"),
        number("fare"), number("fuel"), Column("status", "text", values=("done", "cancelled")),
    ),
    primary_key=("trip_id",),
)  # fmt: skip
MODEL = SemanticModel(
    (BOATS, TRIPS), (Join("public.trips", "public.boats", (("boat_id", "boat_id"),)),)
)  # fmt: skip
MARGIN = Formula("fare margin", sql="(fare - fuel) / fare", synonyms=("FM",), table="public.trips")
YIELD = Formula("yield", sql="sum(trips.fare) / nullif(count(*), 0)", table="public.trips")
COVER = Formula("upkeep cover", sql="sum(trips.fare) / sum(boats.upkeep)", synonyms=("UPC",))


def sql_of(question: str, *formulas: Formula) -> str:
    index = SchemaIndex(replace(MODEL, formulas=formulas))
    proposal = plan(question, index)
    assert not isinstance(proposal, NoProposal), proposal.reason
    guard(proposal.sql, MODEL, row_limit=10)
    return proposal.sql


@pytest.mark.parametrize(
    ("text", "name", "synonyms", "words"),
    [
        ("GPM = gross profit margin = (a - b)/b", "GPM", ("gross profit margin",), "(a - b)/b"),
        ("Load factor is defined as sold divided by all.", "Load factor", (), "sold divided by all"),
        ("ALOS (length of stay) = days / visits. All in UTC.", "ALOS", ("length of stay",), "days / visits"),
        ("Prices are net. NPS stands for net promoter score", "NPS", (), "net promoter score"),
    ],
)  # fmt: skip
def test_a_definition_is_found_in_what_people_wrote(
    text: str, name: str, synonyms: tuple[str, ...], words: str
) -> None:
    found = next(iter(find_definitions(text)))
    assert (found.name, found.synonyms, found.words) == (name, synonyms, words)


@pytest.mark.parametrize(
    "text",
    [
        "The day it was paid.",
        "e.g. LOWER(users.country) = 'us'",
        "0 = user, 1 = merchant",
        "status = open",
    ],
)
def test_prose_codes_and_conditions_define_no_term(text: str) -> None:
    assert find_definitions(text) == []


def test_labels_units_and_spelled_out_names_are_read_from_comments_and_names() -> None:
    assert find_labels("who sent it (0 = user, 1 = merchant)") == {"0": "user", "1": "merchant"}
    assert find_labels("2 = the only one") == {}
    assert find_unit("price_usd", "", "number") == "USD"
    assert find_unit("load", "measured in kg", "number") == "kg"
    assert find_unit("discountPct", "", "number") == "percent"
    assert find_unit("price", "List price in euros", "number") == "euros"
    assert find_unit("seats", "Number of seats in economy", "number") == ""
    assert [find_unit("minutes", "", "number"), find_unit("note_kg", "", "text")] == ["", ""]
    assert find_synonyms("vin_number", "Vehicle identification number, 17 digits") == (
        "vehicle identification number",
    )


def test_a_formula_over_rows_is_taken_row_by_row_where_rows_are_shown() -> None:
    assert "((trips.fare - trips.fuel) / trips.fare) > 0.5" in sql_of(
        "Which trips have a fare margin above 0.5?", MARGIN
    )


def test_a_quotient_over_many_rows_is_the_quotient_of_the_sums() -> None:
    sql = sql_of("What is the average FM per boat?", MARGIN)
    assert "SUM(trips.fare - trips.fuel) / SUM(trips.fare)" in sql
    assert "GROUP BY boats.boat_name" in sql


def test_a_difference_over_many_rows_is_the_aggregate_of_the_differences() -> None:
    hours = Formula("delay", sql="extract(epoch from trips.sailed_on - trips.sailed_on) / 3600")
    assert "AVG((EXTRACT(EPOCH FROM trips.sailed_on - trips.sailed_on) / 3600))" in sql_of(
        "What is the average delay per boat?", hours
    )


def test_a_figure_over_many_rows_keeps_the_conditions_of_the_question() -> None:
    sql = sql_of("What is the yield of trips in 2023?", YIELD)
    assert "SUM(trips.fare) / NULLIF(COUNT(*), 0)" in sql
    assert "2023-01-01" in sql


def test_a_formula_over_two_tables_brings_in_the_join() -> None:
    sql = sql_of("What was the upkeep cover in March 2024?", COVER)
    assert "JOIN public.boats" in sql
    assert "AS upkeep_cover" in sql


def test_groups_are_ordered_by_a_formula() -> None:
    sql = sql_of("Which boat has the highest UPC?", COVER)
    assert "ORDER BY" in sql
    assert "SUM(trips.fare) / SUM(boats.upkeep)" in sql.partition("ORDER BY")[2]
    assert sql.endswith("LIMIT 1")


def test_a_definition_in_words_is_compiled_by_the_planner() -> None:
    index, rate = (
        SchemaIndex(MODEL),
        Formula("loss rate", words="number of cancelled trips / number of trips"),
    )
    made = compile_formula(rate, index, Planner(MODEL, index).plan)
    assert made.tree.sql("postgres") == (
        "(CAST(COUNT(trips.trip_id) FILTER(WHERE trips.status = 'cancelled') AS DECIMAL) "
        "/ NULLIF(COUNT(trips.trip_id), 0))"
    )


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("sum(trips.speed)", "trips.speed is in no table"),
        ("sum(boat_id)", "in 2 tables"),
        ("select 1", "not a statement"),
        ("1 + 1", "needs a column"),
        ("sum(trips.fare", "Not an expression"),
    ],
)
def test_a_formula_that_cannot_be_used_is_refused_with_the_reason(sql: str, said: str) -> None:
    with pytest.raises(FormulaRefused, match=said):
        compile_formula(Formula("x", sql=sql), SchemaIndex(MODEL), Planner(MODEL).plan)


def test_a_term_spelled_out_in_an_instruction_is_read_with_the_question() -> None:
    notes = find_definitions("TFC = total trips count. Always be kind.")
    proposal = plan("What is the TFC in 2023?", SchemaIndex(MODEL), notes)
    assert not isinstance(proposal, NoProposal)
    assert "COUNT(*)" in proposal.sql
    assert not proposal.confident


def test_a_hidden_formula_and_the_name_of_a_column_mean_no_formula() -> None:
    hidden = replace(MARGIN, hidden=True)
    assert "fare -" not in sql_of("Show the fare of all trips", hidden, Formula("fare", words="fuel * 2"))


WEIGHED = replace(
    TRIPS,
    columns=(
        *(replace(column, unit="EUR") if column.name == "fare" else column for column in TRIPS.columns),
        replace(number("cargo"), unit="kg"), replace(number("sailing_time"), unit="days"),
    ),
)  # fmt: skip
UNITS = SchemaIndex(replace(MODEL, entities=(BOATS, WEIGHED)))


@pytest.mark.parametrize(
    ("question", "condition"),
    [
        ("Which trips have a fare above 50 euros?", "trips.fare > 50"),
        ("Which trips have a fare above \u20ac1,250.50?", "trips.fare > 1250.5"),
        ("Which trips have a cargo of more than 500 grams?", "trips.cargo > 0.5"),
        ("Which trips have a sailing time over 36 hours?", "trips.sailing_time > 1.5"),
    ],
)
def test_a_quantity_is_brought_to_the_unit_of_its_column(question: str, condition: str) -> None:
    proposal = plan(question, UNITS)
    assert not isinstance(proposal, NoProposal)
    assert (condition in proposal.sql, proposal.confident) == (True, True), proposal


@pytest.mark.parametrize(
    "question",
    [
        "Which trips have a fare above 50 dollars?",  # no column is in dollars
        "Which trips have a cargo above 50 euros?",  # cargo is not
    ],
)
def test_a_quantity_in_the_unit_of_no_such_column_is_not_believed(question: str) -> None:
    proposal = plan(question, UNITS)
    assert isinstance(proposal, NoProposal) or not proposal.confident


def test_a_period_is_no_quantity() -> None:
    proposal = plan("How many trips sailed in the last 30 days?", UNITS)
    assert not isinstance(proposal, NoProposal)
    assert "30 DAY" in proposal.sql.upper()


def test_a_quantity_is_brought_to_the_unit_of_a_formula() -> None:
    hours = Formula("delay", sql="extract(epoch from sailed_on - sailed_on) / 3600", unit="hours")
    assert "/ 3600) > 48" in sql_of("Which trips have a delay above 2 days?", replace(hours, table=TRIPS.key))
