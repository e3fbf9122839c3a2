"""How a worker's slots are divided between its own cluster and neighbours."""

from dataclasses import dataclass

import pytest

from bus.consume import Source
from bus.guests import SharedSlots
from contracts.errors import Misconfigured
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
