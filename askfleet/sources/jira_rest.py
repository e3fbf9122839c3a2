"""Jira over its REST API, version 2 (Data Center) and 3 (Cloud).

Pages come in order of creation. An issue that changes meanwhile keeps its place, so none slips past the pages
that are still to be read, as it would in order of change; the change is in the next pass.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Literal

from askfleet.sources.exports import failure
from askfleet.sources.fields import Object, flag, number, object_of, objects, part, text
from askfleet.sources.jira import comment_entry, issue_record, missing_comments
from askfleet.sources.passes import Cursor, Page
from askfleet.sources.records import Entry, Record, with_entries
from askfleet.sources.web import NotFound, Site
from contracts.document import Outcome
from contracts.errors import DecodeError, InvalidDocument, Misconfigured

OVERLAP = timedelta(hours=26)
"""More than any two time zones differ."""
_AT_ONCE = 4
_COMMENT_PAGES = 1_000
_ORDER = re.compile(r"\border\s+by\b.*$", re.IGNORECASE | re.DOTALL)


class JiraSite:
    """Reads the issues that `jql` selects, all that the token may see without it."""

    def __init__(
        self, site: Site, *, jql: str = "", api: Literal[2, 3] | None = None, page_size: int = 100
    ) -> None:
        self._site = site
        self._jql = _ORDER.sub("", jql).strip()
        self._api = api or (3 if site.host.endswith(".atlassian.net") else 2)
        self._page_size = page_size
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self.origin = f"{site.url} {self._jql}".strip()

    async def pages(self, cursor: Cursor) -> AsyncGenerator[Page, None]:
        resumed = bool(cursor.next)
        while True:
            try:
                found = await self._search(cursor)
            except NotFound:
                raise
            except Misconfigured:
                if not resumed:
                    raise
                # A mark of the next page holds for some days only: begin again, what arrived is known.
                cursor, resumed = cursor.model_copy(update={"next": "", "at": 0, "total": 0}), False
                continue
            resumed = False
            page = await self._page(found, cursor)
            yield page
            if page.last:
                return
            cursor = page.after

    async def _search(self, cursor: Cursor) -> Object:
        since = cursor.since_moment(OVERLAP).strftime("%Y-%m-%d %H:%M")
        selected = f"({self._jql}) AND " if self._jql else ""
        asked: dict[str, str | int] = {
            "jql": f'{selected}updated >= "{since}" ORDER BY created ASC, key ASC',
            "maxResults": self._page_size,
            "fields": "*all",
            "expand": "names",
        }
        if self._api == 2:
            return await self._site.read("rest/api/2/search", **asked, startAt=cursor.at)
        if cursor.next:
            asked["nextPageToken"] = cursor.next
        return await self._site.read("rest/api/3/search/jql", **asked)

    async def _page(self, found: Object, cursor: Cursor) -> Page:
        issues = found.get("issues")
        if not isinstance(issues, list):
            raise DecodeError(
                f"{self._site.host}: a search result without issues, but {sorted(found)[:6]}.",
                raw=str(found)[:2000].encode(),
                remedy="Check the address; --api chooses the version of the interface.",
            )
        names = {name: str(label) for name, label in part(found, "names").items()}
        items = await asyncio.gather(*(self._issue(issue, names) for issue in issues))
        after, last = self._after(found, len(issues), cursor)
        return Page(tuple(items), after, last)

    def _after(self, found: Object, read: int, cursor: Cursor) -> tuple[Cursor, bool]:
        if self._api == 3:
            token = text(found, "nextPageToken")
            last = flag(found, "isLast", default=not token) or not token or token == cursor.next
            return cursor.model_copy(update={"next": token, "at": cursor.at + read}), last
        total = number(found, "total")
        # Issues that were deleted meanwhile moved the later ones forward: this page began too late.
        back = max(cursor.total - total, 0)
        at = max(cursor.at - back, 0) if back else cursor.at + read
        last = back == 0 and (not read or 0 < total <= at)
        return cursor.model_copy(update={"at": at, "total": total}), last

    async def _issue(self, value: object, names: dict[str, str]) -> Record | Outcome:
        try:
            issue = object_of(value, "the issue")
            record = issue_record(issue, site=self._site.host, names=names)
            if missing_comments(issue):
                record = with_entries(record, await self._comments(text(issue, "id")))
        except InvalidDocument as error:
            shown = text(value, "id") if isinstance(value, dict) else ""
            return failure(f"jira:{self._site.host}/{shown or '?'}", error)
        return record

    async def _comments(self, issue: str) -> list[Entry]:
        entries: list[Entry] = []
        at = 0
        for _ in range(_COMMENT_PAGES):
            async with self._slots:
                found = await self._site.read(
                    f"rest/api/{self._api}/issue/{issue}/comment", startAt=at, maxResults=self._page_size
                )
            comments = objects(found, "comments")
            entries += [comment_entry(comment, f"comment of {issue}") for comment in comments]
            at += len(comments)
            if not comments or at >= number(found, "total"):
                break
        return entries
