"""How long a replica takes: a first token by the prompt, then an interval that grows with the batch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """One replica on its GPU. The defaults are stated, not measured: put in your own (docs/scaling.md).

    Args:
        slots: answers at once (AF_ENGINE_SLOTS); so many messages it pulls, never more.
        kv_tokens: what the KV cache holds, prompts and answers together; 0: no limit.
        first_token_s: of an empty prompt.
        prompt_token_s: for each token of the prompt.
        alone_s: between two tokens of an answer that is alone.
        full_s: the same with all slots taken; in between it grows evenly.
    """

    slots: int = 64
    kv_tokens: int = 160_000
    first_token_s: float = 0.1
    prompt_token_s: float = 0.0001
    alone_s: float = 0.020
    full_s: float = 0.045

    @property
    def growth_s(self) -> float:
        """For each further answer in the batch."""
        return (self.full_s - self.alone_s) / (self.slots - 1) if self.slots > 1 else 0.0

    def interval_s(self, batch: float) -> float:
        return self.alone_s + self.growth_s * max(0.0, batch - 1)

    def first_s(self, prompt_tokens: float) -> float:
        return self.first_token_s + self.prompt_token_s * prompt_tokens

    def answer_s(self, prompt_tokens: float, answer_tokens: float, batch: float) -> float:
        """From its start to its end in a batch that stays as it is."""
        return self.first_s(prompt_tokens) + answer_tokens * self.interval_s(batch)

    def at_once(self, tokens: float) -> int:
        """Answers at once of so many tokens each, with their prompts; one that is too long is alone."""
        return max(1, min(self.slots, int(self.kv_tokens / tokens))) if self.kv_tokens else self.slots

    def per_s(self, prompt_tokens: float, answer_tokens: float) -> float:
        """Answers a second of a full replica."""
        batch = self.at_once(prompt_tokens + answer_tokens)
        return batch / self.answer_s(prompt_tokens, answer_tokens, batch)
