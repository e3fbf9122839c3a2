"""How much each key may ask of this replica: a token bucket for questions, a count of answers under way.

The headers are those of the IETF draft "RateLimit header fields for HTTP", version 10, and, at the
OpenAI-compatible door, the ones that OpenAI's clients know.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from contracts.errors import RateLimited
from workers.bridge.settings import BridgeSettings
from workers.shell.tenants import Caller

LEAST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
BURST_S = 2.0
"""A key without a stated burst may use so many seconds of its rate at once."""
RECENT = 0.2
"""Weight of the newest answer in the mean duration."""
FIRST_DURATION_S = 5.0


@dataclass(frozen=True)
class Allowance:
    """One replica's part of a key's limits; `per_s` and `concurrent` are 0 where there is none."""

    per_s: float
    burst: int
    concurrent: int

    @classmethod
    def of(cls, caller: Caller, settings: BridgeSettings) -> "Allowance":
        limits = caller.limits.over(settings.key_limits)
        per_s = (limits.requests_per_s or 0.0) / settings.bridge_replicas
        burst = math.floor((limits.burst or 0) / settings.bridge_replicas) or math.ceil(per_s * BURST_S)
        concurrent = limits.concurrent or 0
        return cls(per_s, max(1, burst), concurrent and max(1, concurrent // settings.bridge_replicas))


@dataclass
class Usage:
    """What one key has left. Times are of the monotonic clock, in seconds."""

    allowance: Allowance
    tokens: float
    at: float
    under_way: int = 0
    mean_s: float = FIRST_DURATION_S

    def refill(self, now: float) -> None:
        allowance = self.allowance
        self.tokens = min(float(allowance.burst), self.tokens + (now - self.at) * allowance.per_s)
        self.at = now

    @property
    def full_in_s(self) -> float:
        return (self.allowance.burst - self.tokens) / self.allowance.per_s

    def headers(self, *, openai: bool) -> dict[str, str]:
        policies, left = [], []
        allowance = self.allowance
        if allowance.per_s:
            window_s = math.ceil(allowance.burst / allowance.per_s)
            policies.append(f'"requests";q={allowance.burst};w={window_s}')
            left.append(f'"requests";r={int(self.tokens)};t={math.ceil(self.full_in_s)}')
        if allowance.concurrent:
            policies.append(f'"answers";q={allowance.concurrent};qu="concurrent-requests"')
            left.append(f'"answers";r={max(0, allowance.concurrent - self.under_way)}')
        if not policies:
            return {}
        made = {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(left)}
        return made | self._openai_headers() if openai and allowance.per_s else made

    def _openai_headers(self) -> dict[str, str]:
        return {
            "x-ratelimit-limit-requests": str(self.allowance.burst),
            "x-ratelimit-remaining-requests": str(int(self.tokens)),
            "x-ratelimit-reset-requests": f"{self.full_in_s:.3f}s",
        }


class Slot:
    """One of a key's answers under way; `release` when it has ended, however often."""

    def __init__(self, usage: Usage, clock: Callable[[], float]) -> None:
        self._usage: Usage | None = usage
        self._clock = clock
        self._began = clock()

    def release(self) -> None:
        usage, self._usage = self._usage, None
        if usage is not None:
            usage.under_way -= 1
            usage.mean_s += RECENT * (self._clock() - self._began - usage.mean_s)


@dataclass(frozen=True)
class Admission:
    """Leave to ask once. `headers` go with the answer."""

    slot: Slot
    headers: Mapping[str, str] = field(default_factory=dict)


class LimitReached(RateLimited):
    """With the headers that say what is left."""

    def __init__(self, detail: str, *, retry_after_s: float, headers: Mapping[str, str]) -> None:
        super().__init__(detail, retry_after_s=min(LONGEST_RETRY_S, max(LEAST_RETRY_S, retry_after_s)))
        self.headers = headers


class Gate:
    """The limits of all keys at this replica."""

    def __init__(self, settings: BridgeSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._usages: dict[tuple[str, str], Usage] = {}

    def admit(self, caller: Caller, *, openai: bool = False) -> Admission:
        """Raises LimitReached: nothing is taken then."""
        usage = self._usage(caller)
        allowance = usage.allowance
        if allowance.concurrent and usage.under_way >= allowance.concurrent:
            raise LimitReached(
                f"{usage.under_way} answers of this key are under way; its limit is {allowance.concurrent}.",
                retry_after_s=usage.mean_s / allowance.concurrent,
                headers=usage.headers(openai=openai),
            )
        self._take(usage, openai=openai)
        usage.under_way += 1
        return Admission(Slot(usage, self._clock), usage.headers(openai=openai))

    def take(self, caller: Caller) -> Mapping[str, str]:
        """Leave for something small that is no question; returns headers. Raises LimitReached."""
        usage = self._usage(caller)
        self._take(usage, openai=False)
        return usage.headers(openai=False)

    def _take(self, usage: Usage, *, openai: bool) -> None:
        allowance = usage.allowance
        if not allowance.per_s:
            return
        usage.refill(self._clock())
        if usage.tokens < 1.0:
            raise LimitReached(
                f"This key may ask {allowance.per_s:g} questions a second, {allowance.burst} at once.",
                retry_after_s=(1.0 - usage.tokens) / allowance.per_s,
                headers=usage.headers(openai=openai),
            )
        usage.tokens -= 1.0

    def _usage(self, caller: Caller) -> Usage:
        usage = self._usages.get((caller.tenant, caller.key))
        if usage is None:
            allowance = Allowance.of(caller, self._settings)
            usage = Usage(allowance, tokens=float(allowance.burst), at=self._clock())
            self._usages[(caller.tenant, caller.key)] = usage
        return usage
