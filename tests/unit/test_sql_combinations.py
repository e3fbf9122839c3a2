"""Statements made from simpler ones: two tables' columns, differences, counts of zero, missing dates."""

import pytest

from workers.catalogue.model import Column, Entity, Join, SemanticModel
from workers.sql.planner import Planner, Proposal


def _key(name: str) -> Column:
    return Column(name, "number", role="id")


def _table(table: str, *columns: Column, display: tuple[str, ...]) -> Entity:
    return Entity("public", table, table, columns, primary_key=(columns[0].name,), display=display)


_PERSON = (Column("first_name", "text"), Column("last_name", "text"))
MODEL = SemanticModel(
    entities=(
        _table(
            "town",
            _key("town_id"),
            Column("name", "text"),
            Column("district", "text", values=("Plain", "Hill")),
            Column("population", "number", role="measure"),
            display=("name",),
        ),
        _table(
            "animals",
            _key("animal_id"),
            Column("name", "text"),
            Column("date_adopted", "date", role="date"),
            _key("keeper_id"),
            display=("name",),
        ),
        _table("keepers", _key("keeper_id"), *_PERSON, display=("first_name", "last_name")),
        _table("vets", _key("vet_id"), *_PERSON, display=("first_name", "last_name")),
        _table(
            "skills",
            _key("keeper_id"),
            Column("skill", "text", values=("Grooming", "Training")),
            display=("skill",),
        ),
    ),
    joins=(
        Join("public.animals", "public.keepers", (("keeper_id", "keeper_id"),)),
        Join("public.skills", "public.keepers", (("keeper_id", "keeper_id"),)),
    ),
)
PLANNER = Planner(MODEL)


def _plan(question: str) -> Proposal:
    proposal = PLANNER.plan(question)
    assert isinstance(proposal, Proposal), proposal
    return proposal


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("How many animals have not been adopted yet?", ["COUNT(*)", "date_adopted IS NULL"]),
        ("Names of animals that have been adopted", ["NOT animals.date_adopted IS NULL"]),
        ("How many people live in the district Plain?", ["SUM(town.population)", "= 'Plain'"]),
        (
            "What is the difference between the largest and the smallest population?",
            ["MAX(town.population) - MIN(town.population)"],
        ),
        (
            "How many animals does each keeper have, including keepers without animals?",
            ["FROM public.keepers", "LEFT JOIN public.animals", "COUNT(animals.keeper_id)"],
        ),
        ("Which first names are used for both vets and keepers?", ["vets.first_name", " INTERSECT "]),
        ("What are the first names that are used for vets but not for keepers?", [" EXCEPT "]),
        ("How many keepers have both the skill Grooming and Training?", ["COUNT(*)", " INTERSECT "]),
    ],
)
def test_the_statement_is_made_from_simpler_ones(question: str, parts: list[str]) -> None:
    statement = _plan(question).sql
    for part in parts:
        assert part in statement, statement


def test_a_count_of_what_has_both_counts_keys_and_not_names() -> None:
    statement = _plan("How many keepers have both the skill Grooming and Training?").sql
    assert statement.count("SELECT keepers.keeper_id") == 2


def test_not_in_a_certain_year_is_no_missing_date() -> None:
    proposal = _plan("How many animals were not adopted in 2021?")
    assert not proposal.confident or "IS NULL" not in proposal.sql
