"""How many requests vLLM shall have at once: its own limit, or what still fits into its KV cache.

A request that does not fit is not refused: vLLM throws another one's cache away and computes it again later.
Work that would cost that is better left on the queue, where another worker can take it.
"""

from dataclasses import dataclass, field

_FULL = 0.98
"""Of the KV cache; the rest is what blocks waste at their ends."""
_FORGETS = 0.1
"""Weight of the newest request in the mean size of one."""


@dataclass
class _Reserved:
    """Tokens that a request may still put into the cache, beside those it has there."""

    tokens: int


@dataclass
class Headroom:
    """`usage` is the share of the KV cache that running requests hold, as the scheduler last told."""

    most: int
    kv_tokens: int
    usage: float = 0.0
    waiting: int = 0
    running: int = 0
    _reserved: dict[int, _Reserved] = field(default_factory=dict)
    _entered: int = 0
    _mean_tokens: float = 0.0
    _growth: int = 0

    def expect(self, tokens: int) -> None:
        """How large a request is, until some have come."""
        self._mean_tokens = tokens

    def enter(self, prompt_tokens: int, max_tokens: int) -> int:
        """A request goes to the engine; returns its number."""
        self._entered += 1
        number = self._entered
        tokens = prompt_tokens + max_tokens
        self._reserved[number] = _Reserved(tokens)
        self._growth += tokens
        if self._mean_tokens:
            self._mean_tokens += _FORGETS * (tokens - self._mean_tokens)
        else:
            self._mean_tokens = tokens
        return number

    def advance(self, number: int, tokens: int) -> None:
        """So many of its tokens are in the cache now, and counted by `usage`."""
        reserved = self._reserved[number]
        spent = min(tokens, reserved.tokens)
        reserved.tokens -= spent
        self._growth -= spent

    def leave(self, number: int) -> None:
        self._growth -= self._reserved.pop(number).tokens

    @property
    def window(self) -> int:
        """Never less than one; those that are in the engine count."""
        if not self.kv_tokens or not self._mean_tokens:
            return self.most
        free = self.kv_tokens * (_FULL - self.usage) - self._growth
        more = max(0, int(free / self._mean_tokens))
        return max(1, min(self.most, len(self._reserved) + more))
