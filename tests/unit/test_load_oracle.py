"""The oracle of the load generator catches every fault that it is there for; percentiles are right."""

import pytest

from contracts import Accepted, Cancelled, Delta, Done, Event, Query
from loadgen.latency import Summary, percentile
from loadgen.oracle import violations
from loadgen.report import Figure, Report
from loadgen.sse import Chunk, Reply, frames


def answer() -> list[Event]:
    query = Query(id="q", question="Why?")
    return [
        Accepted(index=1, tenant="acme", query=query, deadline=1),
        Delta(index=2, text="Be"),
        Delta(index=3, text="cause."),
        Done(index=4, text="Because."),
    ]


def test_a_whole_answer_passes() -> None:
    assert violations(answer(), ids=[1, 2, 3, 4]) == []


def test_a_cancelled_answer_needs_no_text() -> None:
    assert violations([*answer()[:2], Cancelled(index=3)]) == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ([], "no event"),
        (answer()[:3], "no terminal"),
        ([*answer(), Done(index=5, text="Because.")], "2 terminal"),
        ([*answer()[:3], answer()[3], Delta(index=5, text="")], "after the terminal"),
        ([answer()[0], answer()[2], answer()[3]], "gap"),
        ([*answer()[:2], *answer()[1:]], "repeated"),
        ([answer()[0], Delta(index=2, text="Why"), *answer()[2:]], "`done`"),
        ([*answer()[:3], Done(index=4, text="")], "`done`"),
    ],
)
def test_each_violation_is_caught(seen: list[Event], said: str) -> None:
    found = violations(seen)

    assert any(said in one for one in found), found


def test_ids_of_the_stream_are_held_against_the_indexes() -> None:
    assert violations(answer(), ids=[1, 2, 2, 4])
    assert violations(answer()[1:], ids=[1, 2, 3])


def test_percentiles_interpolate_between_neighbours() -> None:
    assert percentile([10.0], 0.99) == 10
    assert percentile([0.0, 10.0], 0.5) == 5
    assert percentile([float(n) for n in range(101)], 0.9) == 90


def test_a_summary_sorts_and_an_empty_one_is_zero() -> None:
    found = Summary.of([3.0, 1.0, 2.0])

    assert (found.count, found.median, found.worst) == (3, 2.0, 3.0)
    assert Summary.of([]).median == 0


def test_frames_that_are_split_over_chunks_are_put_together() -> None:
    chunks = [Chunk(1.0, b"id: 1\nevent: a\nda"), Chunk(2.0, b'ta: {"x": 1}\n\n: keep-alive\n\nid: 2\n')]
    chunks.append(Chunk(3.0, b"event: b\ndata: y\n\n"))

    first, second = frames(Reply(sent_at=0.0, chunks=chunks))

    assert (first.at, first.id, first.event, first.data) == (2.0, 1, "a", b'{"x": 1}')
    assert (second.at, second.id, second.event, second.data) == (3.0, 2, "b", b"y")


def test_a_report_says_which_targets_were_missed() -> None:
    figures = (Figure("fast", 5, "ms", at_most=10), Figure("slow", 15, "ms", at_most=10), Figure("free", 1))
    report = Report("x", "python -m x", (*figures, Figure("few", 99, "/s", at_least=100)))

    assert [figure.name for figure in report.missed] == ["slow", "few"]
    assert "MISSED" in report.table()
