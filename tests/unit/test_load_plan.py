from pathlib import Path

import pytest

from askfleet.commands.load import command_line
from askfleet.load_plan import Flags, planned
from contracts import Route
from contracts.errors import Misconfigured
from loadgen.scenario import Closed, Constant, DoorShares, Poisson, Ramp, Replay, Spike


@pytest.fixture
def peak(tmp_path: Path) -> Path:
    file = tmp_path / "peak.yaml"
    file.write_text(
        "seconds: 20\n"
        "arrivals: {kind: spike, rate: 3, to: 30, at_s: 5}\n"
        "tenants: [{name: acme, key: k1}, {name: other, key: k2}]\n"
        "clients: {cancel: 0.1}\n"
    )
    return file


def test_without_flags_a_scenario_file_stands_as_it_is(peak: Path):
    found = planned(Flags(peak))
    assert (found.seconds, found.arrivals) == (20, Spike(rate=3, to=30, at_s=5))


def test_flags_win_over_the_file_and_leave_the_rest(peak: Path):
    found = planned(
        Flags(
            peak,
            {"seconds": 7.0, "seed": None},
            {"rate": 9.0, "kind": None},
            {"slow": 0.2},
            tenants=["acme=4"],
        )
    )
    assert (found.seconds, found.seed) == (7, 7)
    assert found.arrivals == Spike(rate=9, to=30, at_s=5)
    assert (found.clients.cancel, found.clients.slow) == (0.1, 0.2)
    ((name, share, key),) = [(each.name, each.share, each.key) for each in found.tenants]
    assert (name, share) == ("acme", 4)
    assert key is not None
    assert key.get_secret_value() == "k1"


def test_another_kind_of_arrivals_takes_nothing_from_the_file(peak: Path):
    assert planned(Flags(peak, arrivals={"kind": "ramp"})).arrivals == Ramp()
    assert planned(Flags(arrivals={"kind": "constant", "rate": 2.0})).arrivals == Constant(rate=2)
    assert planned(Flags(arrivals={"rate": 2.0})).arrivals == Poisson(rate=2)


def test_a_number_of_clients_means_a_closed_loop_and_a_trace_a_replay_to_its_end(tmp_path: Path):
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"at_s": 100}\n{"at_s": 40}\n')

    found = planned(Flags(arrivals={"file": str(trace), "speed": 2.0}))

    assert planned(Flags(arrivals={"clients": 8})).arrivals == Closed(clients=8)
    assert found.arrivals == Replay(file=trace, speed=2)
    assert found.seconds == 51


def test_questions_and_doors_are_named_with_their_weights():
    found = planned(Flags(questions=["sql=3", "mine.txt"], doors=["nats=2", "http"], skip_router=True))

    first, second = found.questions
    assert (first.about, first.weight, first.route, first.file) == (Route.SQL, 3, Route.SQL, None)
    assert (second.file, second.weight, second.route) == (Path("mine.txt"), 1, None)
    assert found.doors == DoorShares(http=1, nats=2, openai=0)


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        (Flags(arrivals={"rate": -1.0}), "rate"),
        (Flags(arrivals={"rate": 0.0}), "rate"),
        (Flags(arrivals={"kind": "waves"}), "waves"),
        (Flags(arrivals={"to": 5.0}), "to"),
        (Flags(scenario={"seconds": 0.0}), "seconds"),
        (Flags(tenants=["a b"]), "a b"),
        (Flags(tenants=["a=many"]), "a=many"),
        (Flags(doors=["window"]), "window"),
        (Flags(questions=["sql=-1"]), "-1"),
        (Flags(clients={"cancel": 2.0}), "cancel"),
    ],
)
def test_a_wrong_flag_is_refused_with_its_value(flags: Flags, shown: str):
    with pytest.raises(Misconfigured, match=shown):
        planned(flags)


def test_the_record_names_its_command_without_the_key():
    shown = command_line(["load", "run", "--key", "af_secret", "--rate", "5", "--key=af_other"])
    assert shown == "askfleet load run --key ... --rate 5 --key=..."
