"""Half a minute of faults on a stack of its own: what `askfleet load chaos` does, but shorter."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from contracts import Route
from loadgen.faults import BROKER, WORKERS, Kind, Planned
from loadgen.scenario import DoorShares, Habits, Poisson, Questions, Scenario, TenantShare
from loadgen.trial import TENANTS, Ground, Trial, Verdict, open_ground

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

ACK_WAIT_S = 3.0
SECONDS = 24.0
GROUND = Ground(
    replicas={"bridge": 2, "generation": 2}, ack_wait_s=ACK_WAIT_S, interval_ms=80.0, sample=False
)
ASKED = Scenario(
    seconds=SECONDS,
    arrivals=Poisson(rate=5.0),
    questions=tuple(
        Questions(about=route, route=route) for route in (Route.DOCUMENTS, Route.BOTH, Route.DIRECT)
    ),
    tenants=(TenantShare(name=TENANTS[1]),),
    doors=DoorShares(http=0.8, nats=0.2),
    clients=Habits(cancel=0.05, cancel_after_s=(0, 0.6), resume=0.1, resume_after_s=(0, 0.6), pause_s=(0, 1)),
    max_tokens=64,
)
KILLS = tuple(Planned(1.5 + 1.5 * number, Kind.KILL, worker) for number, worker in enumerate(WORKERS))
FAULTS = (
    *KILLS,
    Planned(11.0, Kind.FREEZE, "generation", lasts_s=ACK_WAIT_S + 2.5),
    Planned(17.5, Kind.KILL, BROKER),
    Planned(20.0, Kind.DRAIN, "bridge"),
)


async def test_kills_a_zombie_and_a_restart_of_nats_lose_repeat_and_leave_nothing() -> None:
    with TemporaryDirectory(prefix="askfleet-", ignore_cleanup_errors=True) as folder:
        verdict = await _hold(Path(folder))

    assert list(verdict.complaints) == []
    totals = verdict.recording.totals
    assert totals.done + totals.cancelled == totals.asked > 80
    assert totals.resumed > 0
    assert verdict.documents > 0
    done = {(fault.kind, fault.target) for fault in verdict.recording.faults}
    assert done >= {("kill", worker) for worker in (*WORKERS, BROKER)}
    assert ("freeze", "generation") in done


async def _hold(folder: Path) -> Verdict:
    with open_ground(GROUND, folder) as stack:
        return await Trial(ASKED, FAULTS, document_every_s=2.0).hold(stack, command="test")
