import pytest
from hdrh.histogram import HdrHistogram

from loadgen.observed import Door, End, Habit, Observed
from loadgen.reading import Reading
from loadgen.tally import Histogram, Tally
from loadgen.witness import Outcome, Witness

DELTA = b'{"index":1,"type":"delta","text":"x","tokens":2}'


def observed(**fields: object) -> Observed:
    given: dict[str, object] = {
        "witness": Witness("acme", "q", Outcome.ACCEPTED, 0),
        "number": 0,
        "door": Door.HTTP,
        "habit": Habit.READ,
        "end": End.DONE,
        "scheduled_at": 10.0,
        "sent_at": 10.5,
        "ended_at": 12.0,
        "accepted_at": 10.6,
        "first_token_at": 11.0,
        "route": "sql",
    }
    return Observed(**(given | fields))  # type: ignore[arg-type]


def tallied(*ended: Observed) -> Tally:
    tally = Tally()
    for each in ended:
        tally.start(0.0)
        tally.end(each)
    return tally


def test_a_histogram_tells_percentiles_to_three_figures_and_can_be_read_by_others():
    histogram = Histogram()
    for milliseconds in range(1, 1_001):
        histogram.add(milliseconds / 1_000)

    found = histogram.latency()

    assert (found.count, found.worst) == (1_000, pytest.approx(1_000, rel=0.001))
    assert (found.p50, found.p90) == (pytest.approx(500, rel=0.002), pytest.approx(900, rel=0.002))
    assert (found.p99, found.p999) == (pytest.approx(990, rel=0.002), pytest.approx(999, rel=0.002))
    assert HdrHistogram.decode(found.histogram).get_value_at_percentile(90) == pytest.approx(
        900_000, rel=0.002
    )


def test_a_histogram_takes_times_out_of_its_bounds():
    histogram = Histogram()
    for seconds in (0.0, -1.0, 1e9):
        histogram.add(seconds)
    assert histogram.latency().worst == pytest.approx(3_600_000, rel=0.001)


def test_times_count_from_the_schedule_by_route_and_by_tenant():
    tally = tallied(observed())

    for measures in (tally.all, tally.by_route["sql"], tally.by_tenant["acme"]):
        found = measures.latencies()
        assert found["accepted"].worst == pytest.approx(600, rel=0.001)
        assert found["first_token"].worst == pytest.approx(1_000, rel=0.001)
        assert found["whole"].worst == pytest.approx(2_000, rel=0.001)


@pytest.mark.parametrize("habit", [Habit.SLOW, Habit.LEAVE])
def test_what_a_client_brings_upon_itself_is_no_latency_of_the_system(habit: Habit):
    assert tallied(observed(habit=habit)).all.latencies().keys() == {"accepted"}


def test_each_query_counts_once_by_its_end():
    ends = [observed(end=end, problem="why") for end in End]
    totals = tallied(*ends).totals

    assert totals.asked == len(ends)
    assert [getattr(totals, end.value) for end in End] == [1] * len(ends)


def test_failures_are_counted_by_their_code():
    failed = observed(end=End.FAILED, problem="deadline-exceeded")
    assert tallied(failed, failed, observed()).failures == {"deadline-exceeded": 2}


def test_a_second_has_what_happened_in_it():
    tally = Tally()
    tally.start(0.0)
    reading = Reading(tally, scheduled_at=1.0)
    reading.add(1.25, 1, "delta", DELTA)
    reading.add(1.35, 2, "delta", DELTA)
    tally.tick(0.0)
    tally.end(observed())
    tally.tick(1.0)

    first, second = tally.timeline
    assert (first.started, first.ended, first.in_flight, first.tokens) == (1, 0, 1, 4)
    assert (first.first_token_p50_ms, first.whole_p50_ms) == (250.0, None)
    assert (second.started, second.ended, second.in_flight, second.tokens) == (0, 1, 0, 0)
    assert second.whole_p50_ms == 2_000
    assert tally.all.latencies()["token_interval"].worst == pytest.approx(100, rel=0.001)
