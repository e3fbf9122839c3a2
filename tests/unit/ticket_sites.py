"""A Jira and a Zendesk on a real socket that page, throttle and drop connections."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

Query = dict[str, str]
Handler = Callable[[str, Query], object]


@dataclass
class Trouble:
    """By number of the request, from 1: what happens instead of an answer."""

    throttle: set[int] = field(default_factory=set)
    drop: set[int] = field(default_factory=set)
    cut: set[int] = field(default_factory=set)
    retry_after: str = "0.01"


class TicketSite:
    def __init__(self, handler: Handler, trouble: Trouble) -> None:
        self._handler = handler
        self.trouble = trouble
        self.requests: list[tuple[str, Query]] = []
        self.authorization: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            await self._answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        target = head.split(" ")[1]
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        self.requests.append((urlsplit(target).path, query))
        self.authorization += [
            line for line in head.split("\r\n") if line.lower().startswith("authorization")
        ]
        number = len(self.requests)
        if number in self.trouble.drop:
            return
        found = self._handler(urlsplit(target).path, query)
        status = "404 Not Found" if found is None else "200 OK"
        extra = ""
        if number in self.trouble.throttle:
            status, extra, found = "429 Too Many", f"Retry-After: {self.trouble.retry_after}\r\n", {}
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        writer.write(
            f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        )
        writer.write(body[: len(body) // 2] if number in self.trouble.cut else body)
        await writer.drain()


@asynccontextmanager
async def serving(handler: Handler, trouble: Trouble | None = None) -> AsyncIterator[TicketSite]:
    site = TicketSite(handler, trouble or Trouble())
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield site


def issue(number: int, **fields: object) -> dict[str, object]:
    stated = {
        "summary": f"Summary {number}",
        "description": f"Text of {number}",
        "updated": "2026-01-01T00:00:00Z",
    }
    return {"id": str(number), "key": f"HELP-{number}", "fields": {**stated, **fields}}


def jira(issues: list[dict[str, object]]) -> Handler:
    """Versions 2 and 3; pages as large as asked for."""

    def answer(path: str, query: Query) -> object:
        size = int(query.get("maxResults", "50"))
        if path == "/rest/api/2/search":
            at = int(query["startAt"])
            return {"startAt": at, "total": len(issues), "issues": issues[at : at + size]}
        if path == "/rest/api/3/search/jql":
            at = int(query.get("nextPageToken", "t0")[1:])
            page: dict[str, object] = {"issues": issues[at : at + size]}
            return page | (
                {"nextPageToken": f"t{at + size}"} if at + size < len(issues) else {"isLast": True}
            )
        if path.endswith("/comment"):
            at = int(query["startAt"])
            comments = [{"id": str(number), "body": f"Comment {number}"} for number in range(7)]
            return {"startAt": at, "total": 7, "comments": comments[at : at + 3]}
        return None

    return answer


def zendesk(tickets: list[dict[str, object]], articles: list[dict[str, object]], site: list[str]) -> Handler:
    """`site` holds the server's own address once it is known: pages name the next one in full."""

    def answer(path: str, query: Query) -> object:
        size = int(query.get("per_page", "3"))
        if path == "/api/v2/incremental/tickets/cursor.json":
            at = int(query.get("cursor", "c0")[1:])
            ended = at + size >= len(tickets)
            return {
                "tickets": tickets[at : at + size],
                "after_cursor": f"c{at + size}",
                "end_of_stream": ended,
            }
        if path == "/api/v2/help_center/incremental/articles.json":
            at = int(query.get("at", "0"))
            onward = f"{site[0]}{path}?per_page={size}&at={at + size}" if at + size < len(articles) else None
            return {"articles": articles[at : at + size], "next_page": onward}
        if path.endswith("/comments.json"):
            number = path.split("/")[-2]
            body = {"id": f"{number}1", "html_body": f"<p>Comment of <b>{number}</b></p>", "public": True}
            return {"comments": [body], "meta": {"has_more": False}}
        return None

    return answer


def ticket(number: int, **fields: object) -> dict[str, object]:
    stated = {"subject": f"Subject {number}", "description": f"Text of {number}", "status": "open"}
    return {"id": number, **stated, "updated_at": "2026-01-01T00:00:00Z", **fields}


def article(number: int, **fields: object) -> dict[str, object]:
    return {
        "id": number,
        "title": f"Article {number}",
        "body": f"<p>Body {number}</p>",
        "locale": "en",
        **fields,
    }
