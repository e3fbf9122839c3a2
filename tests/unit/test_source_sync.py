import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from askfleet.ingest import Summary
from askfleet.sources.jira_rest import JiraSite
from askfleet.sources.ledger import Ledger
from askfleet.sources.passes import Source
from askfleet.sources.sync import Order, Report, synchronise
from askfleet.sources.web import Credentials, Patience, Site, credentials
from askfleet.sources.zendesk_rest import ZendeskSite
from contracts.document import Document, Outcome
from contracts.errors import (
    DecodeError,
    DependencyUnavailable,
    Misconfigured,
    RateLimited,
    TransientError,
)
from tests.unit.ticket_sites import Trouble, article, issue, jira, serving, ticket, zendesk

QUICK = Patience(attempts=6, first_s=0.01, longest_s=0.02, throttled_s=5, timeout_s=5)


class KilledError(Exception):
    pass


class Index:
    """What workers would hold; `kill_at` breaks off that delivery, after half of it arrived."""

    def __init__(self, *, kill_at: int = 0, silent: bool = False) -> None:
        self.documents: dict[str, Document] = {}
        self.received: list[str] = []
        self._kill_at = kill_at
        self._silent = silent
        self._deliveries = 0

    async def deliver(self, items: list[Document | Outcome]) -> Summary:
        self._deliveries += 1
        failures = [item for item in items if isinstance(item, Outcome)]
        documents = [item for item in items if isinstance(item, Document)]
        if self._silent:
            problem = TransientError("No worker.").problem()
            failures += [Outcome(document_id=item.id, status="failed", problem=problem) for item in documents]
            return Summary(failed=len(failures), failures=tuple(failures))
        if self._deliveries == self._kill_at:
            self._take(documents[: len(documents) // 2])
            raise KilledError
        self._take(documents)
        deleted = sum(item.action == "delete" for item in documents)
        return Summary(
            indexed=len(documents) - deleted, deleted=deleted, failed=len(failures), failures=tuple(failures)
        )

    def _take(self, documents: list[Document]) -> None:
        for document in documents:
            self.received.append(document.id)
            if document.action == "delete":
                self.documents.pop(document.id, None)
            else:
                self.documents[document.id] = document

    def text(self, number: int) -> str:
        found = [item for item in self.documents.values() if item.id.endswith(f"/{number}")]
        return found[0].content.decode()


async def run(source: Source, path: Path, index: Index, order: Order | None = None) -> Report:
    with Ledger(path / "ledger.sqlite") as ledger:
        return await synchronise(source, ledger, index.deliver, order or Order())


@asynccontextmanager
async def jira_site(url: str, api: int = 2, size: int = 4) -> AsyncIterator[JiraSite]:
    async with Site(url, Credentials(), patience=QUICK) as site:
        yield JiraSite(site, api=2 if api == 2 else 3, page_size=size)


@pytest.mark.parametrize("api", [2, 3])
async def test_a_jira_that_throttles_and_drops_connections_is_read_completely(tmp_path: Path, api: int):
    issues = [issue(number) for number in range(1, 24)]
    trouble = Trouble(throttle={2, 8}, drop={3, 6, 10}, cut={4, 12})
    index = Index()
    async with serving(jira(issues), trouble) as server, jira_site(server.url, api) as source:
        report = await run(source, tmp_path, index)
    assert report.complete
    assert report.sent.indexed == len(index.documents) == 23
    assert len(index.received) == 23
    assert report.analysis.documents == 23


async def test_a_zendesk_that_throttles_and_drops_connections_is_read_completely(tmp_path: Path):
    tickets = [ticket(number) for number in range(1, 11)] + [ticket(11, status="deleted")]
    address: list[str] = []
    handler = zendesk(tickets, [article(number) for number in range(50, 57)], address)
    index = Index()
    async with serving(handler, Trouble(throttle={1, 6}, drop={4, 9, 17}, cut={12, 19})) as server:
        address.append(server.url)
        async with Site(server.url, Credentials(), patience=QUICK) as site:
            report = await run(ZendeskSite(site, page_size=3), tmp_path, index)
    assert report.complete
    assert (report.sent.indexed, report.sent.deleted) == (17, 1)
    assert sum("/tickets/" in name for name in index.documents) == 10
    assert sum("/articles/" in name for name in index.documents) == 7
    assert "Comment of 3" in index.text(3)


@pytest.mark.parametrize("api", [2, 3])
async def test_a_run_that_is_killed_goes_on_with_its_page_and_sends_the_earlier_ones_only_once(
    tmp_path: Path, api: int
):
    issues = [issue(number) for number in range(1, 21)]
    index = Index(kill_at=3)
    async with serving(jira(issues)) as server, jira_site(server.url, api) as source:
        with pytest.raises(KilledError):
            await run(source, tmp_path, index)
        before = len(server.requests)
        report = await run(source, tmp_path, index)
        resumed_at = server.requests[before][1]
    assert report.complete
    assert len(index.documents) == 20
    assert len(index.received) == 20 + 2, "only the half page that was under way came twice"
    assert resumed_at.get("startAt", resumed_at.get("nextPageToken")) in ("8", "t8")


async def test_zendesk_goes_on_in_the_middle_of_its_articles(tmp_path: Path):
    address: list[str] = []
    handler = zendesk([ticket(1)], [article(number) for number in range(50, 60)], address)
    index = Index(kill_at=4)
    async with serving(handler) as server:
        address.append(server.url)
        async with Site(server.url, Credentials(), patience=QUICK) as site:
            source = ZendeskSite(site, page_size=3)
            with pytest.raises(KilledError):
                await run(source, tmp_path, index)
            before = len(server.requests)
            report = await run(source, tmp_path, index)
            again = server.requests[before:]
    assert report.complete
    assert len(index.documents) == 11
    assert not any("tickets" in path for path, _ in again)
    assert again[0][1]["at"] == "6"


async def test_only_what_changed_is_sent_again_and_the_next_pass_asks_from_the_last_one(tmp_path: Path):
    issues = [issue(number) for number in range(1, 6)]
    index = Index()
    async with serving(jira(issues)) as server, jira_site(server.url) as source:
        await run(source, tmp_path, index)
        issues[2] = issue(3, description="Another text")
        report = await run(source, tmp_path, index)
    assert (report.sent.indexed, report.sent.unchanged) == (1, 4)
    assert index.received[5:] == [name for name in index.documents if name.endswith("/3")]
    assert 'updated >= "1970-01-' in server.requests[0][1]["jql"]
    assert 'updated >= "1970-01-' not in server.requests[-1][1]["jql"]


async def test_a_full_pass_deletes_what_is_gone(tmp_path: Path):
    issues = [issue(number) for number in range(1, 9)]
    index = Index()
    async with serving(jira(issues)) as server, jira_site(server.url) as source:
        await run(source, tmp_path, index)
        del issues[4]
        assert (await run(source, tmp_path, index)).sent.deleted == 0
        report = await run(source, tmp_path, index, Order(full=True))
        assert report.sent.deleted == 1
        assert (await run(source, tmp_path, index, Order(full=True))).sent.deleted == 0
    assert sorted(name.rpartition("/")[2] for name in index.documents) == ["1", "2", "3", "4", "6", "7", "8"]


async def test_a_full_pass_that_meets_nothing_deletes_nothing(tmp_path: Path):
    issues = [issue(1), issue(2)]
    index = Index()
    async with serving(jira(issues)) as server, jira_site(server.url) as source:
        await run(source, tmp_path, index)
        issues.clear()
        with pytest.raises(Misconfigured, match="none of the 2 documents"):
            await run(source, tmp_path, index, Order(full=True))
    assert len(index.documents) == 2


async def test_an_issue_that_is_deleted_between_two_pages_hides_no_other(tmp_path: Path):
    issues = [issue(number) for number in range(1, 13)]
    answer = jira(issues)

    def shrinking(path: str, query: dict[str, str]) -> object:
        found = answer(path, query)
        if query["startAt"] == "4" and len(issues) == 12:
            del issues[0]
        return found

    index = Index()
    async with serving(shrinking) as server, jira_site(server.url) as source:
        report = await run(source, tmp_path, index)
    assert report.complete
    assert {name.rpartition("/")[2] for name in index.documents} >= {str(number) for number in range(2, 13)}


async def test_comments_beyond_those_in_the_search_are_fetched_page_by_page(tmp_path: Path):
    index = Index()
    issues = [issue(1, comment={"total": 7, "comments": [{"id": "0", "body": "Comment 0"}]})]
    async with serving(jira(issues)) as server, jira_site(server.url) as source:
        await run(source, tmp_path, index)
    assert all(f"Comment {number}" in index.text(1) for number in range(7))


async def test_documents_that_no_worker_took_hold_their_page_back(tmp_path: Path):
    issues = [issue(number) for number in range(1, 11)]
    async with serving(jira(issues)) as server, jira_site(server.url) as source:
        report = await run(source, tmp_path, Index(silent=True))
        assert not report.complete
        assert report.exit_code == 1
        index = Index()
        assert (await run(source, tmp_path, index)).complete
    assert len(index.documents) == 10


async def test_an_odd_issue_fails_alone_and_is_named(tmp_path: Path):
    odd = issue(2, description={"type": "doc", "content": 5})
    index = Index()
    issues = [issue(1), odd, {"id": "3", "fields": None}]
    async with serving(jira(issues)) as server, jira_site(server.url) as source:
        report = await run(source, tmp_path, index)
    details = [outcome.problem.detail for outcome in report.sent.failures if outcome.problem]
    assert report.complete
    assert len(index.documents) == 1
    assert details == [
        "document.content is 5, not a list.",
        "3: fields is None, not an object.",
    ]


async def test_a_dry_run_sends_and_keeps_nothing(tmp_path: Path):
    index = Index()
    async with serving(jira([issue(1), issue(2)])) as server, jira_site(server.url) as source:
        assert (await run(source, tmp_path, index, Order(dry_run=True))).sent.indexed == 2
        assert index.received == []
        assert (await run(source, tmp_path, index)).sent.indexed == 2


async def test_the_limit_ends_a_run_and_the_next_goes_on(tmp_path: Path):
    index = Index()
    issues = [issue(number) for number in range(1, 11)]
    async with serving(jira(issues)) as server, jira_site(server.url) as source:
        report = await run(source, tmp_path, index, Order(limit=4))
        assert not report.complete
        assert len(index.documents) == 4
        await run(source, tmp_path, index)
    assert len(index.received) == len(index.documents) == 10


async def test_a_service_that_asks_for_too_long_a_pause_ends_the_run_at_once():
    trouble = Trouble(throttle={1}, retry_after="4000")
    async with serving(jira([]), trouble) as server, Site(server.url, Credentials(), patience=QUICK) as site:
        with pytest.raises(RateLimited, match="4,000 s"):
            await site.read("rest/api/2/search", startAt=0)
    assert len(server.requests) == 1


async def test_a_service_that_is_away_is_asked_so_often_and_no_more():
    trouble = Trouble(drop=set(range(1, 9)))
    async with serving(jira([]), trouble) as server, Site(server.url, Credentials(), patience=QUICK) as site:
        with pytest.raises(DependencyUnavailable, match="6 times"):
            await site.read("rest/api/2/search", startAt=0)
    assert len(server.requests) == 6


async def test_an_address_on_another_host_is_not_followed():
    async with serving(jira([])) as server, Site(server.url, Credentials("t0ken"), patience=QUICK) as site:
        with pytest.raises(DecodeError, match=r"https://evil\.example"):
            await site.read("https://evil.example/next")
    assert server.requests == []


async def test_an_answer_that_is_no_json_object_names_its_beginning():
    page = b"<html>log in</html>"
    async with serving(lambda *_: page) as server, Site(server.url, Credentials(), patience=QUICK) as site:
        with pytest.raises(DecodeError, match="<html>"):
            await site.read("x")


def test_a_token_does_not_travel_unencrypted_and_does_not_show():
    who = Credentials("s3cr3t-token", "me@example.org")
    assert "s3cr3t" not in repr(who)
    with pytest.raises(Misconfigured, match="unencrypted"):
        Site("http://jira.example.org", who)
    with pytest.raises(Misconfigured, match="holds a password"):
        Site("https://me:s3cr3t@jira.example.org", Credentials())


def test_the_token_comes_from_the_environment_or_a_file(tmp_path: Path):
    (tmp_path / "token").write_text("abc\n")
    assert credentials("jira", {"AF_JIRA_TOKEN_FILE": str(tmp_path / "token")}) == Credentials("abc")
    assert (
        credentials("zendesk", {"AF_ZENDESK_TOKEN": "x", "AF_ZENDESK_EMAIL": "me@e.org"}).email
        == "me@e.org/token"
    )
    with pytest.raises(Misconfigured, match="nowhere"):
        credentials("jira", {"AF_JIRA_TOKEN_FILE": "nowhere"})
    with pytest.raises(Misconfigured, match="holds blanks"):
        credentials("jira", {"AF_JIRA_TOKEN": "a\r\nb"})


async def test_credentials_are_sent_as_the_service_wants_them():
    async with serving(lambda *_: {}) as server:
        for who in (Credentials("abc"), Credentials("abc", "me@e.org")):
            async with Site(server.url, who, patience=QUICK) as site:
                await site.read("x")
    assert server.authorization == ["Authorization: Bearer abc", "Authorization: Basic bWVAZS5vcmc6YWJj"]


def test_a_second_run_on_the_same_ledger_is_refused(tmp_path: Path):
    with Ledger(tmp_path / "l.sqlite"), pytest.raises(Misconfigured, match="another run"):
        Ledger(tmp_path / "l.sqlite").__enter__()
    (tmp_path / "no.sqlite").write_text("this is no database, but long enough to be looked at")
    with pytest.raises(Misconfigured, match="not a database"):
        Ledger(tmp_path / "no.sqlite").__enter__()


@pytest.mark.parametrize(("since", "full"), [("tomorrow", False), ("2026-01-01", True)])
async def test_options_that_make_no_sense_are_refused(tmp_path: Path, since: str, full: bool):
    async with serving(jira([])) as server, jira_site(server.url) as source:
        with pytest.raises(Misconfigured, match="--since"):
            await asyncio.wait_for(run(source, tmp_path, Index(), Order(since=since, full=full)), 5)
