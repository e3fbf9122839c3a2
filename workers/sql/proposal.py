"""What the planner makes of a question."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Proposal:
    """A statement (not yet guarded) and how much of the question it covers."""

    sql: str
    confidence: float
    confident: bool
    unexplained: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoProposal:
    """Why the planner made nothing of the question, as people can read it."""

    reason: str
