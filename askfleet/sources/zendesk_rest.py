"""Zendesk over its REST API: the incremental exports of tickets and articles, and each ticket's comments."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta

from askfleet.sources.exports import failure
from askfleet.sources.fields import Object, flag, object_of, objects, part, text
from askfleet.sources.passes import Cursor, Page
from askfleet.sources.records import Entry, Record, with_entries
from askfleet.sources.web import NotFound, Site
from askfleet.sources.zendesk import People, article_record, comment_entries, ticket_record
from contracts.document import Outcome
from contracts.errors import DecodeError, InvalidDocument

OVERLAP = timedelta(hours=1)
_AT_ONCE = 4
_COMMENT_PAGES = 1_000
_TICKETS, _ARTICLES = "tickets", "articles"


class ZendeskSite:
    """Reads tickets, then articles; a status `deleted` and an article taken back to a draft are deletions."""

    def __init__(
        self, site: Site, *, tickets: bool = True, articles: bool = True, page_size: int = 100
    ) -> None:
        self._site = site
        self._stages = [name for name, wanted in ((_TICKETS, tickets), (_ARTICLES, articles)) if wanted]
        self._page_size = page_size
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self.origin = f"{site.url} {','.join(self._stages)}"

    async def pages(self, cursor: Cursor) -> AsyncGenerator[Page, None]:
        left = self._stages[self._stages.index(cursor.stage) :] if cursor.stage else self._stages
        for stage in left:
            following = left[left.index(stage) + 1 :]
            mark = cursor.next if stage == cursor.stage else ""
            while True:
                found = await self._read(stage, cursor, mark)
                items = await self._items(stage, found)
                after = self._mark(stage, found)
                ends = not after or after == mark
                onward = (
                    {"stage": following[0], "next": ""}
                    if ends and following
                    else {"stage": stage, "next": after}
                )
                yield Page(items, cursor.model_copy(update=onward), last=ends and not following)
                if ends:
                    break
                mark = after

    async def _read(self, stage: str, cursor: Cursor, mark: str) -> Object:
        if stage == _ARTICLES and mark:
            return await self._site.read(mark)
        asked: dict[str, str | int] = {"per_page": self._page_size}
        if mark:
            asked["cursor"] = mark
        else:
            asked["start_time"] = int(cursor.since_moment(OVERLAP).timestamp())
        if stage == _ARTICLES:
            return await self._site.read("api/v2/help_center/incremental/articles.json", **asked)
        asked["include"] = "users,groups,organizations"
        return await self._site.read("api/v2/incremental/tickets/cursor.json", **asked)

    def _mark(self, stage: str, found: Object) -> str:
        """Where the next page begins; empty behind the last one."""
        if stage == _ARTICLES:
            return text(found, "next_page") if objects(found, _ARTICLES) else ""
        return "" if flag(found, "end_of_stream") else text(found, "after_cursor")

    async def _items(self, stage: str, found: Object) -> tuple[Record | Outcome, ...]:
        values = found.get(stage)
        if not isinstance(values, list):
            raise DecodeError(
                f"{self._site.host}: a page without {stage}, but {sorted(found)[:6]}.",
                raw=str(found)[:2000].encode(),
                remedy="Check the address: it is https://NAME.zendesk.com.",
            )
        people = People.of(found)
        read = (self._item(stage, value, people) for value in values)
        return tuple(await asyncio.gather(*read))

    async def _item(self, stage: str, value: object, people: People) -> Record | Outcome:
        try:
            if stage == _ARTICLES:
                return article_record(value, site=self._site.host)
            record = ticket_record(value, site=self._site.host, people=people)
            return (
                record
                if record.deleted
                else await self._with_comments(record, object_of(value, "the ticket"), people)
            )
        except InvalidDocument as error:
            shown = text(value, "id") if isinstance(value, dict) else ""
            return failure(f"zendesk:{self._site.host}/{stage}/{shown or '?'}", error)

    async def _with_comments(self, record: Record, ticket: Object, people: People) -> Record:
        """A ticket whose comments are gone was deleted after the page was made."""
        try:
            return with_entries(record, await self._comments(ticket, people))
        except NotFound:
            return replace(record, deleted=True)

    async def _comments(self, ticket: Object, people: People) -> list[Entry]:
        entries: list[Entry] = []
        path = f"api/v2/tickets/{text(ticket, 'id')}/comments.json"
        asked: dict[str, str | int] = {"page[size]": 100, "include": "users"}
        for _ in range(_COMMENT_PAGES):
            async with self._slots:
                found = await self._site.read(path, **asked)
            known = People(users={**people.users, **People.of(found).users})
            entries += comment_entries(
                objects(found, "comments"), requester=text(ticket, "requester_id"), people=known
            )
            more = flag(part(found, "meta"), "has_more", default=True)
            path, asked = (text(found, "links", "next") if more else "") or text(found, "next_page"), {}
            if not path:
                break
        return entries
