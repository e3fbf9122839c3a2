"""Zendesk's exports: tickets, their audits and comments, help-centre articles, the old incremental export."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from askfleet.sources.exports import Gathered, each, failure, files_of, read_export, unknown
from askfleet.sources.fields import Object, objects, part, text
from askfleet.sources.records import Entry, Record, with_entries
from askfleet.sources.zendesk import (
    UNKNOWN_SITE,
    People,
    article_record,
    audit_comments,
    comment_entries,
    ticket_id,
    ticket_record,
)
from contracts.document import Outcome
from contracts.errors import InvalidDocument

_SHAPES = "`tickets`, `ticket`, `audits`, `comments`, `articles`, `results`, or is a ticket or an article"


def read_zendesk_export(root: Path) -> Iterator[Record | Outcome]:
    """Records, after the failed outcomes of what could not be read.

    A page of comments does not say of which ticket: its comments go to the ticket whose audits in the same
    export hold them, else they are a document of their own, named after their file.
    """
    export = _Export()
    for path in files_of(root, "zendesk"):
        name = path.name if path == root else path.relative_to(root).as_posix()
        yield from read_export(path, name, export.take)
    yield from export.records()


class _Export:
    def __init__(self) -> None:
        self._found = Gathered()
        self._of_ticket: dict[str, dict[str, Entry]] = {}
        self._of_file: dict[str, dict[str, Entry]] = {}

    def take(self, found: Object, where: str) -> Iterator[Outcome]:
        people = People.of(found)
        if isinstance(found.get("ticket"), dict):
            yield from self._tickets([found["ticket"]], where, people)
            yield from self._take_audits([part(found, "audit")], where)
        elif isinstance(found.get("audits"), list):
            yield from self._take_audits(objects(found, "audits"), where)
        elif tickets := _list(found, "tickets", "results"):
            yield from self._tickets(tickets, where, people)
        elif articles := _list(found, "articles"):
            yield from each(articles, where, article_record, self._found)
        elif isinstance(found.get("article"), dict):
            yield from each([found["article"]], where, article_record, self._found)
        elif "body" in found and "locale" in found:
            yield from each([found], where, article_record, self._found)
        elif "subject" in found or "requester_id" in found:
            yield from self._tickets([found], where, people)
        elif _is_list_of_comments(found):
            yield from self._take_comments(found, where, people)
        elif not any(isinstance(found.get(name), list) for name in ("tickets", "results", "articles")):
            raise unknown(found, where, _SHAPES)

    def records(self) -> Iterator[Record]:
        left = dict(self._of_ticket)
        known = {entry for entries in left.values() for entry in entries}
        for record in self._found.records.values():
            known |= {entry.id for entry in record.entries}
            yield with_entries(record, left.pop(_plain_id(record.id), {}).values())
        for ticket, entries in left.items():
            yield with_entries(
                Record(f"{ticket}#comments", title=f"Comments on {_shown(ticket)}"), entries.values()
            )
        for name, entries in self._of_file.items():
            alone = [entry for entry in entries.values() if entry.id not in known]
            if alone:
                record = Record(f"zendesk:{UNKNOWN_SITE}/{name}#comments", title=f"Comments of {name}")
                yield with_entries(record, alone)

    def _tickets(self, tickets: Iterable[object], where: str, people: People) -> Iterator[Outcome]:
        return each(tickets, where, lambda ticket: ticket_record(ticket, people=people), self._found)

    def _take_audits(self, audits: Iterable[Object], where: str) -> Iterator[Outcome]:
        for audit in audits:
            belongs = _plain_id(ticket_id(UNKNOWN_SITE, text(audit, "ticket_id") or where))
            yield from self._keep(audit_comments(audit), belongs, self._of_ticket, People())

    def _take_comments(self, found: Object, where: str, people: People) -> Iterator[Outcome]:
        for comment in objects(found, "comments"):
            ticket = text(comment, "ticket_id") or text(found, "ticket_id")
            kept, belongs = (self._of_ticket, _plain_id(ticket_id(UNKNOWN_SITE, ticket)))
            if not ticket:
                kept, belongs = self._of_file, where
            yield from self._keep([comment], belongs, kept, people)

    def _keep(
        self, comments: Iterable[Object], belongs: str, kept: dict[str, dict[str, Entry]], people: People
    ) -> Iterator[Outcome]:
        for comment in comments:
            try:
                for entry in comment_entries([comment], people=people):
                    kept.setdefault(belongs, {})[entry.id] = entry
            except InvalidDocument as error:
                yield failure(f"{belongs}, comment {text(comment, 'id') or '?'}", error)


def _is_list_of_comments(found: Object) -> bool:
    """Jira's comments have an address of their own."""
    return isinstance(found.get("comments"), list) and not any(
        "self" in comment for comment in objects(found, "comments")
    )


def _list(found: Object, *names: str) -> list[object]:
    for name in names:
        value = found.get(name)
        if isinstance(value, list) and value:
            return value
    return []


def _plain_id(document_id: str) -> str:
    """Audits and comments do not name their site: an export is taken to be of one."""
    return f"zendesk:{UNKNOWN_SITE}/" + document_id.partition("/")[2]


def _shown(ticket: str) -> str:
    return "ticket " + ticket.rpartition("/")[2]
