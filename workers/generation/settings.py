"""Settings of the generation worker."""

from typing import Literal

from pydantic import Field, field_validator

from contracts.query import ADAPTER_MARK, Name
from workers.engines import EngineSettings
from workers.generation.prompt import Order
from workers.shell.settings import WorkerSettings

AnswerStyle = Literal["write", "check", "quote"]


class GenerationSettings(WorkerSettings):
    """Variables are prefixed with `AF_`; those of the engine with `AF_ENGINE_`."""

    model: Name = Field(default="default", description="which generation queue this worker serves")
    bulk_share: float = Field(
        default=0.875, gt=0, le=1, description="of the slots, what a flooding tenant's work may take at most"
    )
    engine: EngineSettings = Field(default_factory=EngineSettings, description="see the engine's settings")
    answer_style: AnswerStyle | None = Field(
        default=None,
        description="write: the model's text as it comes; check: its sentence if the evidence has its words, "
        "else a quote; quote: no model for documents; default: check for llamacpp, else write",
    )
    rows_answer: Literal["template", "engine"] = Field(
        default="template", description="who words the rows of a database: the platform or the model"
    )
    max_rows_shown: int = Field(default=10, ge=1, description="rows of a table in the answer's text")
    prompt_tokens: int | None = Field(
        default=None, ge=128, description="longest prompt; default: what the context leaves, llamacpp 512"
    )
    prompt_order: Order = Field(
        default="document",
        description="passages in the prompt: document (the same however they are ranked, so that a prefix "
        "cache finds them) or rank (best first)",
    )
    min_carried: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="how likely the evidence must hold an answer; default: write 0.2, else 0.5",
    )

    @field_validator("model")
    @classmethod
    def _a_queue(cls, model: str) -> str:
        """Jobs for `a--b` wait in the queue `a`: a worker of a queue `a--b` would never get one."""
        if ADAPTER_MARK in model:
            queue, _, adapter = model.partition(ADAPTER_MARK)
            raise ValueError(
                f"{model!r} names the adapter {adapter!r} of the queue {queue!r}, not a queue: name the "
                "queue without two dashes in a row, and the adapter in AF_ENGINE_ADAPTERS"
            )
        return model

    def style(self) -> AnswerStyle:
        return self.answer_style or ("check" if self.engine.kind == "llamacpp" else "write")

    def carried_from(self) -> float:
        if self.min_carried is not None:
            return self.min_carried
        return 0.2 if self.style() == "write" else 0.5

    def prompt_limit(self, *, context_tokens: int, max_tokens: int) -> int:
        room = context_tokens - max_tokens
        cap = self.prompt_tokens or (512 if self.engine.kind == "llamacpp" else room)
        return min(room, cap)
