"""One vLLM replica: a batch whose tokens come slower the more answers it writes at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

import simpy

from askfleet.simulation.policy import Cpu
from askfleet.simulation.service import Service

_ROUNDING = 1e-9


@dataclass
class Question:
    """On its way; times are seconds, NaN until they are known."""

    number: int
    home: int
    at_s: float
    prompt_tokens: float
    answer_tokens: float
    served_by: int = -1

    @property
    def tokens(self) -> float:
        return self.prompt_tokens + self.answer_tokens


@dataclass(eq=False)
class Replica:
    """Answers in work share its pace, so one clock of tokens serves all.

    Each ends when that clock has gone on by its own number of tokens.

    Args:
        on_end: told when an answer is written.
    """

    env: simpy.Environment
    service: Service
    cpu: Cpu
    on_end: Callable[["Replica", Question], None]
    number: int
    ready: bool = False
    draining: bool = False
    offered: bool = False
    in_work: int = 0
    percent_s: float = 0.0
    _kv_tokens: float = 0.0
    _tokens: float = 0.0
    _since_s: float = 0.0
    _due: int = 0
    _writing: list[tuple[float, int, Question]] = field(default_factory=list)
    _order: "count[int]" = field(default_factory=count)

    @property
    def open(self) -> bool:
        return self.ready and not self.draining and self.in_work < self.service.slots

    def fits(self, question: Question) -> bool:
        """An answer that the whole cache can't hold is taken alone."""
        limit = self.service.kv_tokens
        return not limit or not self.in_work or self._kv_tokens + question.tokens <= limit

    def admit(self, question: Question) -> None:
        self.settle()
        self.in_work += 1
        self._kv_tokens += question.tokens
        first_s = self.service.first_s(question.prompt_tokens)
        if first_s > 0:
            self.env.timeout(first_s).callbacks.append(lambda _: self._write(question))
            self._schedule()
        else:
            self._write(question)

    def settle(self) -> None:
        """Bring the token clock and the CPU account up to now."""
        passed_s = self.env.now - self._since_s
        self._since_s = self.env.now
        if passed_s > 0:
            self._tokens += passed_s / self.service.interval_s(self.in_work)
            self.percent_s += passed_s * self.cpu.percent(self.in_work)

    def _write(self, question: Question) -> None:
        self.settle()
        heappush(self._writing, (self._tokens + question.answer_tokens, next(self._order), question))
        self._schedule()

    def _schedule(self) -> None:
        """The next end, by the pace of now; what was scheduled before is void."""
        self._due += 1
        if not self._writing:
            return
        due = self._due
        left_s = max(0.0, self._writing[0][0] - self._tokens) * self.service.interval_s(self.in_work)
        self.env.timeout(left_s).callbacks.append(lambda _: self._end(due))

    def _end(self, due: int) -> None:
        if due != self._due:
            return
        self.settle()
        ended = []
        while self._writing and self._writing[0][0] <= self._tokens + _ROUNDING * max(1.0, self._tokens):
            ended.append(heappop(self._writing)[2])
        for question in ended:
            self.in_work -= 1
            self._kv_tokens -= question.tokens
        self._schedule()
        for question in ended:
            self.on_end(self, question)
