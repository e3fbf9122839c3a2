"""A ticket or an article as its source tells it, before anything is cleaned."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

Kind = Literal["jira", "zendesk"]
Format = Literal["adf", "wiki", "html", "text"]


@dataclass(frozen=True)
class Body:
    """`content` is a JSON object for `adf`, text for the others; `where` names it in errors."""

    format: Format
    content: object
    where: str = "body"


@dataclass(frozen=True)
class Fact:
    """A field with its values, as `Status: Open` or `Labels: a, b`."""

    label: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Attachment:
    """Named only; what is in it is not read. `size` in bytes, 0 when it is not stated."""

    name: str
    media_type: str = ""
    size: int = 0


@dataclass(frozen=True)
class Entry:
    """A comment, or a note of work; `internal` ones are not for the customer's eyes."""

    id: str
    author: str
    created: str
    body: Body
    kind: str = "Comment"
    internal: bool = False
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True)
class Record:
    """`id` is the document's. A record that is `deleted` has nothing else that counts."""

    id: str
    title: str = ""
    url: str = ""
    facts: tuple[Fact, ...] = ()
    body: Body | None = None
    entries: tuple[Entry, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    created: str = ""
    updated: str = ""
    deleted: bool = False


def fact(label: str, *values: str) -> tuple[Fact, ...]:
    """One fact, or none when no value holds text."""
    kept = tuple(dict.fromkeys(value.strip() for value in values if value.strip()))
    return (Fact(label, kept),) if kept else ()


def merged(one: Record, other: Record) -> Record:
    """Of the same id: the one that was updated last, with the comments of both; of equals the second."""
    older, newer = (other, one) if _order(one) > _order(other) else (one, other)
    if newer.deleted or older.deleted:
        return newer
    return with_entries(newer, older.entries)


def with_entries(record: Record, more: Iterable[Entry]) -> Record:
    """In order of time; an id that the record has already stays as it is."""
    entries = {entry.id: entry for entry in more} | {entry.id: entry for entry in record.entries}
    ordered = sorted(entries.values(), key=lambda entry: (moment(entry.created) or _NEVER, entry.id))
    return replace(record, entries=tuple(ordered))


def moment(text: str) -> datetime | None:
    """ISO 8601 in the forms that the sources write; without a zone it is UTC. None for anything else."""
    joined = re.sub(r"\s+([+-]\d{2}:?\d{2})$", r"\1", text.strip())
    try:
        found = datetime.fromisoformat(joined)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


_NEVER = datetime.min.replace(tzinfo=UTC)


def _order(record: Record) -> datetime:
    return moment(record.updated) or _NEVER
