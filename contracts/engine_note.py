"""A line of an engine's journal: when a request began and ended. Not a message; load runs read it from files.

One JSON object a line. A request whose process was killed has a `start` and nothing behind it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EngineNote(BaseModel):
    model_config = ConfigDict(frozen=True)

    at: int = Field(description="epoch milliseconds")
    what: Literal["start", "end", "abort"]
    query_id: str
    pid: int
    request: int = Field(description="counts the requests of one process from 1")
    tokens: int = Field(default=0, description="made by then")

    def line(self) -> bytes:
        return self.model_dump_json().encode() + b"\n"
