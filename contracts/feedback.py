"""What a reader thinks of an answer, schema `feedback/1`. The tenant is in the subject."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from contracts.query import Name, Route

MAX_FEEDBACK_CHARS = 2_000

Remark = Annotated[str, StringConstraints(max_length=MAX_FEEDBACK_CHARS)]


class Feedback(BaseModel):
    """One opinion an answer: a later one takes the place of the one before.

    It carries the question and the route as the answer's log had them, since the log is soon gone.
    """

    model_config = ConfigDict(frozen=True)

    query_id: Name
    rating: Literal["up", "down"]
    text: Remark = ""
    route: Route | None = Field(default=None, description="the route that the reader says was the right one")
    question: str = Field(default="", description="stand-alone, as it was routed")
    routed: Route | None = Field(default=None, description="the route that the answer took")
    at: int = Field(default=0, description="epoch milliseconds")
