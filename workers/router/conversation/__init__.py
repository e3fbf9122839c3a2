"""A follow-up becomes a question that stands for itself, before it is routed and anything is looked up."""

from dataclasses import dataclass
from typing import Literal

from workers.router.conversation.engine import EngineRewriter, open_rewriter
from workers.router.conversation.rewriting import Rewriting, rewrite

__all__ = ["EngineRewriter", "Rewriting", "StandAlone", "open_rewriter", "rewrite"]


@dataclass(frozen=True)
class StandAlone:
    """A question and what made it; nothing, where it is as it was asked."""

    question: str
    by: Literal["", "rules", "engine"] = ""

    @property
    def spoken(self) -> str:
        """For the log: empty where it is as it was asked."""
        return self.question if self.by else ""
