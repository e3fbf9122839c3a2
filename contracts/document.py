"""A document to index or to remove, schema `document/1`, and what became of it, `outcome/1`."""

from typing import Annotated, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, StringConstraints

from contracts.errors import Problem

DocumentId = Annotated[str, StringConstraints(min_length=1, max_length=512)]
MediaType = Literal["text/markdown", "text/html", "text/plain", "application/pdf"]


class Document(BaseModel):
    """Upsert: content of the stated media type. Delete: the id alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: DocumentId = Field(description="stable over the document's life; a path or an address is fine")
    action: Literal["upsert", "delete"] = "upsert"
    media_type: MediaType = "text/markdown"
    title: str = Field(default="", description="taken from the content when empty")
    source: str = Field(default="", description="where a person can open it; the id when empty")
    content: Base64Bytes = Field(default=b"", description="base64 of the document's bytes")


class Outcome(BaseModel):
    """What the ingest worker did with one document."""

    model_config = ConfigDict(frozen=True)

    document_id: DocumentId
    status: Literal["indexed", "unchanged", "deleted", "failed"]
    chunks: int = 0
    problem: Problem | None = None
