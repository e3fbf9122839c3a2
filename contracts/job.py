"""Work between the stages, schema `job/1`. The tenant is in the subject, the deadline in the header."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.query import Name


class LogPosition(BaseModel):
    """Where the answer log stood when the job was made, so that its worker can append without a read."""

    model_config = ConfigDict(frozen=True)

    first_sequence: int = Field(description="stream sequence of the `accepted` event")
    last_sequence: int = Field(description="stream sequence of the last event")
    last_index: int

    @property
    def beginning(self) -> "LogPosition":
        """Right behind `accepted`: who appends there is refused when more stands on the log, and reads it."""
        return LogPosition(
            first_sequence=self.first_sequence, last_sequence=self.first_sequence, last_index=1
        )


class EvidenceJob(BaseModel):
    """Gather evidence of one kind; `joined` means that the answer waits for the other kind as well.

    With `evidence_only` nothing is generated: the answer ends when its evidence is there.
    """

    model_config = ConfigDict(frozen=True)

    query_id: Name
    question: str
    top_k: int = 5
    model: Name = "default"
    joined: bool = False
    evidence_only: bool = False
    position: LogPosition


class GenerateJob(BaseModel):
    """Write the answer. The evidence is on the log."""

    model_config = ConfigDict(frozen=True)

    query_id: Name
    first_sequence: int


class Cancel(BaseModel):
    """A core message to the worker that is at work on the query."""

    model_config = ConfigDict(frozen=True)

    query_id: Name
    reason: Literal["client", "operator", "deadline"] = "client"
