"""The replicas of one worker: more are started, surplus ones drained, under the stack's supervisor."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from askfleet.local.supervisor import Process, State, Supervisor
from askfleet.scaling.record import ReplicaState
from contracts.errors import AskfleetError

log = structlog.get_logger(__name__)

RETRY_S = 1.0

Busy = Callable[[], Awaitable[Mapping[int, int]]]
"""Messages in work, by pid; a process that is not in it did not answer."""


@dataclass(frozen=True)
class ColdStart:
    """Simulated delays, in real seconds, before a process starts: a machine, and a model on it."""

    node_s: float = 0.0
    model_s: float = 0.0


@dataclass
class _Member:
    number: int
    name: str
    state: ReplicaState = "asked"
    task: asyncio.Task[None] | None = field(default=None, compare=False)


class Pool:
    """Holds the worker to a wanted number.

    Args:
        make: the process of a number from 1 on; asked once for each number.
        busy: by which the idle ones are found when there are too many.
        on_state: told of each replica's way from `asked` to `ended`.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        make: Callable[[int], Process],
        *,
        cold_start: ColdStart,
        busy: Busy,
        on_state: Callable[[str, ReplicaState], None] = lambda name, state: None,
    ) -> None:
        self._supervisor = supervisor
        self._make = make
        self._cold_start = cold_start
        self._busy = busy
        self._on_state = on_state
        self._members: list[_Member] = []
        self._processes: dict[int, Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def first(self, count: int) -> list[Process]:
        """The replicas that somebody else starts, once, before anything is scaled."""
        for number in range(1, count + 1):
            self._members.append(_Member(number, self._process(number).name, state="ready"))
        return [self._process(number) for number in range(1, count + 1)]

    @property
    def wanted(self) -> int:
        """`spec.replicas`: what was last asked for."""
        return len(self._kept())

    @property
    def ready(self) -> int:
        """Those that serve; one that crashed is not counted until the supervisor has it back."""
        kept = {member.name for member in self._kept()}
        return sum(
            status.name in kept and status.state is State.READY for status in self._supervisor.statuses
        )

    @property
    def draining(self) -> int:
        return len(self._members) - len(self._kept())

    async def resize(self, wanted: int) -> None:
        """Returns at once; processes start and drain meanwhile."""
        for _ in range(wanted - self.wanted):
            self._ask()
        surplus = self.wanted - wanted
        if surplus > 0:
            for member in await self._victims(surplus):
                self._start_task(member, self._drain(member, member.task))

    async def close(self) -> None:
        """Ends what is under way. The processes are left to the supervisor."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _kept(self) -> list[_Member]:
        return [member for member in self._members if member.state != "draining"]

    def _process(self, number: int) -> Process:
        if number not in self._processes:
            self._processes[number] = self._make(number)
        return self._processes[number]

    def _ask(self) -> None:
        taken = {member.number for member in self._members}
        number = next(number for number in range(1, len(taken) + 2) if number not in taken)
        member = _Member(number, self._process(number).name)
        self._members.append(member)
        self._set(member, "asked")
        self._start_task(member, self._bring_up(member))

    async def _bring_up(self, member: _Member) -> None:
        for state, delay_s in (("node", self._cold_start.node_s), ("model", self._cold_start.model_s)):
            if delay_s > 0:
                self._set(member, "node" if state == "node" else "model")
                await asyncio.sleep(delay_s)
        self._set(member, "process")
        try:
            await self._supervisor.start(self._process(member.number))
        except AskfleetError as error:
            log.warning(
                "a replica did not start, another try follows",
                action="scaling.start_failed",
                process=member.name,
                error=error.detail,
            )
            await asyncio.sleep(RETRY_S)
            await self._supervisor.remove(member.name)
            self._forget(member)
        else:
            self._set(member, "ready")

    async def _drain(self, member: _Member, start: asyncio.Task[None] | None) -> None:
        """A start under way is broken off; a process finishes what it has, within its grace."""
        self._set(member, "draining")
        if start is not None:
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
        await self._supervisor.remove(member.name)
        self._forget(member)

    async def _victims(self, count: int) -> Sequence[_Member]:
        """As Kubernetes chooses: what is not ready yet, then what costs least to delete, then the newest."""
        in_work = await self._busy()
        pids = {status.name: status.pid or 0 for status in self._supervisor.statuses}

        def cost(member: _Member) -> tuple[bool, int, int]:
            return member.state == "ready", in_work.get(pids.get(member.name, 0), 0), -member.number

        # Marked before anything is awaited again, so that nobody is chosen twice.
        victims = sorted(self._kept(), key=cost)[:count]
        for member in victims:
            member.state = "draining"
        return victims

    def _start_task(self, member: _Member, work: "Awaitable[None]") -> None:
        task = asyncio.ensure_future(work)
        member.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _set(self, member: _Member, state: ReplicaState) -> None:
        member.state = state
        self._on_state(member.name, state)

    def _forget(self, member: _Member) -> None:
        if member in self._members:
            self._members.remove(member)
        self._on_state(member.name, "ended")
