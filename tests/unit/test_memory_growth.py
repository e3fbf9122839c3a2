"""What is said about the memory of processes after a run."""

from loadgen.memory import Growth, growths
from loadgen.recording import ProcessSample, Recording, Second

SECONDS = 100
RATE = 50


def test_a_process_that_grows_with_the_answers_is_not_flat() -> None:
    found = _growth("router-2", lambda t: 100.0 + 0.002 * RATE * t)

    assert round(found.mib_per_1000, 2) == 2.0
    assert not found.flat


def test_growth_while_warming_up_is_left_out() -> None:
    found = _growth("bridge", lambda t: 100.0 + min(t, 35) * 2)

    assert found.flat
    assert round(found.mib_per_1000, 3) == 0.0


def test_a_server_is_allowed_its_index_and_the_generator_is_not_judged() -> None:
    assert _growth("nats-server", lambda t: 50 + 0.002 * RATE * t).flat
    assert _growth("load generator", lambda t: 50 + 0.1 * RATE * t).bound is None


def _growth(name: str, rss_mib) -> Growth:  # type: ignore[no-untyped-def]
    samples = [
        ProcessSample(t=t + 0.5, name=name, pid=7, rss_mib=rss_mib(t + 0.5), cpu_s=0) for t in range(SECONDS)
    ]
    timeline = [Second(t=t, ended=RATE) for t in range(SECONDS)]
    recording = Recording(
        command="", started_at="", seconds=SECONDS, timeline=tuple(timeline), processes=tuple(samples)
    )
    (found,) = growths(recording)
    return found
