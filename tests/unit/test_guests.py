"""How a worker's slots are divided between its own cluster and neighbours."""

from dataclasses import dataclass
from io import StringIO

import pytest
from rich.console import Console

from askfleet.overview_tables import worker_table
from bus.consume import Source
from bus.guests import SharedSlots
from bus.overview import AnswersView, Overview
from bus.presence import Presence
from contracts.errors import Misconfigured
from workers.costs.costs import costs_of
from workers.shell.neighbours import Neighbour, neighbours_of, serve_stage
from workers.shell.settings import WorkerSettings

SOURCE = Source("GENERATE", "generation-default", 16, "generation-default-bulk")


@dataclass
class Held:
    concurrency: int
    in_work: int = 0


def shared(*, home: int, guests: tuple[int, ...]) -> SharedSlots:
    slots = SharedSlots(16, 0.5, len(guests), home=Held(16, home))
    slots.guests.extend(Held(slots.of_a_neighbour, number) for number in guests)
    return slots


def free(source: Source, own: int) -> int:
    return source.concurrency - own - source.beside(own)


def test_neighbours_share_a_part_of_the_slots() -> None:
    slots = shared(home=0, guests=(0, 0))
    assert slots.at_home(SOURCE).concurrency == 16
    assert slots.away(SOURCE, priority=1).concurrency == 4


def test_a_guest_gets_what_is_free_and_no_more() -> None:
    assert free(shared(home=0, guests=(0, 0)).away(SOURCE, priority=1), 0) == 4
    assert free(shared(home=11, guests=(2, 3)).away(SOURCE, priority=1), 2) == 0
    assert free(shared(home=14, guests=(0, 0)).away(SOURCE, priority=1), 0) == 2
    assert free(shared(home=16, guests=(0, 0)).away(SOURCE, priority=1), 0) == 0


def test_work_at_home_leaves_the_slots_that_guests_hold() -> None:
    assert free(shared(home=4, guests=(2, 3)).at_home(SOURCE), 4) == 7


def test_a_worker_alone_has_all_slots() -> None:
    assert free(SOURCE, 5) == 11


def test_neighbours_are_named_with_our_place_among_their_helpers() -> None:
    settings = WorkerSettings(neighbours="eu-west:2,us-east:1")
    assert neighbours_of(settings) == (Neighbour("eu-west", 2), Neighbour("us-east", 1))
    assert neighbours_of(WorkerSettings()) == ()


async def test_neighbours_without_keys_are_refused() -> None:
    with pytest.raises(Misconfigured, match="AF_NEIGHBOUR_KEYS is not set"):
        async with serve_stage(None, SOURCE, None, settings=WorkerSettings(neighbours="eu-west:1")):  # type: ignore[arg-type]
            pass


def test_a_pod_that_works_for_neighbours_is_no_cheaper_to_end_than_one_that_works_at_home() -> None:
    at_home = Presence(
        name="a", kind="router", stage="router", instance="a", host="a", concurrency=8, in_work=4
    )
    away = at_home.model_copy(update={"host": "b", "in_work": 0, "helping": {"south": 3, "west": 1}})
    costs = costs_of([at_home, away])
    assert costs["a"] == costs["b"] > 0


def test_the_table_of_workers_tells_who_is_a_guest_and_who_works_for_neighbours() -> None:
    own = Presence(name="sql-a", kind="sql", instance="a", helping={"south": 3})
    guest = Presence(name="sql-b", kind="sql", instance="b", in_work=2, concurrency=4, guest=True)
    overview = Overview(at=0, stages=(), answers=AnswersView(), dead={}, workers=(own,), guests=(guest,))
    console = Console(width=200, record=True, file=StringIO())
    console.print(worker_table(overview))
    first, second = (line.strip() for line in console.export_text().splitlines()[1:3])
    assert first.startswith("sql-a")
    assert first.endswith("3 for south")
    assert second.startswith("sql-b")
    assert "2/4" in second
    assert second.endswith("a neighbour's, here to help")
