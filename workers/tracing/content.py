"""How much of questions, passages, rows and answers a trace may hold."""

from typing import Literal

from workers.shell.masking import RULES, masked

Policy = Literal["full", "masked", "off"]

LONGEST_TEXT = 16_000
"""Characters of one value; a prompt of 4,000 tokens fits. What is longer is cut."""


class Content:
    """Asked for each text that would leave the process with a span."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    @property
    def kept(self) -> bool:
        return self.policy != "off"

    def text(self, text: str) -> str:
        """As much of it as may be told; only where `kept`."""
        cut = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}... ({len(text)} characters)"
        return masked(cut, RULES)[0] if self.policy == "masked" else cut
