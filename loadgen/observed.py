"""What one client of a load run found out about its query: the witness for the judge, and the times."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.witness import Witness


class Door(enum.StrEnum):
    """Where a query goes in."""

    HTTP = "http"
    NATS = "nats"
    OPENAI = "openai"


class Habit(enum.StrEnum):
    """What a client does beside reading to the end. `LEAVE`: it disconnects, and comes back for the rest."""

    READ = "read"
    CANCEL = "cancel"
    LEAVE = "leave"
    SLOW = "slow"

    @property
    def is_steady(self) -> bool:
        """It takes what comes as it comes: what it waits for is the system, not itself."""
        return self in (Habit.READ, Habit.CANCEL)


class End(enum.StrEnum):
    """How it ended for the client; each is a field of `loadgen.recording.Totals`."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    UNSETTLED = "unsettled"
    LOST = "lost"
    STUCK = "stuck"


@dataclass(frozen=True)
class Observed:
    """Times are seconds since the start of the run; None: it did not come to that.

    Args:
        scheduled_at: when the query should have been sent; latencies count from here.
        accepted_at: the door said so for the first time.
        ended_at: the terminal event came, or the client gave up.
        route: that was taken, from the `routed` event; empty when there was none.
        problem: code of the failure, or of the refusal.
        status: of the last HTTP response to the question, 0 where there was none.
        asks: how often the question was sent with this id.
        resumes_s: for each resume, seconds from the request to its first event.
        cancelled_at: a cancel of the client's was answered.
    """

    witness: Witness
    number: int
    door: Door
    habit: Habit
    end: End
    scheduled_at: float
    sent_at: float
    ended_at: float
    accepted_at: float | None = None
    first_token_at: float | None = None
    cancelled_at: float | None = None
    route: str = ""
    problem: str = ""
    status: int = 0
    tokens: int = 0
    asks: int = 1
    resumes_s: Sequence[float] = ()
    lost_connections: int = 0
    left: int = 0
