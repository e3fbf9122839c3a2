"""A pass through a source: where it begins, where it was left, and what a page of it is."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from askfleet.sources.records import Record, moment
from contracts.document import Outcome
from contracts.errors import Misconfigured


class Cursor(BaseModel):
    """Between two passes `run` is empty and `since` says up to when the source was read."""

    model_config = ConfigDict(frozen=True)

    since: str = Field(default="", description="what changed since then is read; ISO 8601, empty for all")
    until: str = Field(default="", description="becomes `since` when the pass ends")
    run: str = Field(default="", description="name of the pass that is under way")
    full: bool = Field(default=False, description="what the pass does not meet is deleted at its end")
    stage: str = ""
    next: str = Field(default="", description="the service's own mark of the next page")
    at: int = Field(default=0, description="records that the pass has met, for services that count")
    total: int = 0

    def since_moment(self, overlap: timedelta) -> datetime:
        """Some time before `since`: clocks differ, and Jira reads a time in the zone of the token's owner."""
        found = moment(self.since)
        return found - overlap if found else datetime(1970, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Page:
    """`after` is where to go on once the page's documents have arrived."""

    items: tuple[Record | Outcome, ...]
    after: Cursor
    last: bool = False


class Source(Protocol):
    """`origin` names what is read, and is the key of the cursor."""

    origin: str

    def pages(self, cursor: Cursor) -> AsyncGenerator[Page, None]: ...


def begin(stored: str, *, since: str, full: bool, now: datetime) -> Cursor:
    """Go on with the pass that was left in the middle, or begin one.

    Raises:
        Misconfigured: `since` is no time, or stands beside `full`.
    """
    known = _stored(stored)
    if since and full:
        raise Misconfigured("--since and --full exclude each other.", remedy="--full reads everything.")
    if since and moment(since) is None:
        raise Misconfigured(
            f"--since {since!r} is no time.", remedy="Write 2026-01-31 or 2026-01-31T08:00:00Z."
        )
    if known.run and not since and known.full >= full:
        return known
    run = now.isoformat()
    # What lies between the last pass and a later --since is not read: the next pass has to.
    skips = bool(since and known.since and since > known.since)
    until = known.since if skips else run
    return Cursor(since="" if full else since or known.since, until=until, run=run, full=full)


def ended(cursor: Cursor) -> Cursor:
    return Cursor(since=cursor.until)


def _stored(text: str) -> Cursor:
    try:
        return Cursor.model_validate_json(text) if text else Cursor()
    except ValidationError:
        # Of another release: read from the beginning; what is unchanged is not sent again.
        return Cursor()
