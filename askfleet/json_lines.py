"""JSON lines as documents: `{"id": ..., "title": ..., "text": ...}` on each line."""

import base64
from collections.abc import Iterator
from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from contracts.document import Document, MediaType, Outcome
from contracts.errors import InvalidDocument

_SHAPE = 'Each line is an object such as {"id": "42", "title": "...", "text": "..."}.'


class _Line(BaseModel):
    """Other fields are left aside. Without an id the number of the line stands for it."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, populate_by_name=True)

    id: str = Field(default="", max_length=400)
    title: str | None = None
    text: str = Field(min_length=1, validation_alias=AliasChoices("text", "content", "body"))
    source: str | None = Field(default=None, validation_alias=AliasChoices("source", "url"))
    media_type: MediaType = "text/plain"


def read_json_lines(path: Path, name: str, source: str) -> Iterator[Document | Outcome]:
    """One document a line; a line that is none is a failed outcome with its number.

    Raises:
        OSError: the file can't be read.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _document(line, number, name, source)


def _document(line: bytes, number: int, name: str, source: str) -> Document | Outcome:
    try:
        fields = _Line.model_validate_json(line.removeprefix(b"\xef\xbb\xbf"))
        return Document(
            id=f"{name}#{fields.id or number}",
            media_type=fields.media_type,
            title=fields.title or "",
            source=fields.source or source,
            content=base64.b64encode(fields.text.encode()),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the line"
        problem = InvalidDocument(f"{name}, line {number}: {where}: {first['msg']}.", remedy=_SHAPE).problem()
        return Outcome(document_id=f"{name}#{number}", status="failed", problem=problem)
