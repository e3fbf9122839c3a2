"""Jira's exports: search results, single issues, pages of comments, messages of webhooks."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from askfleet.sources.exports import Gathered, each, failure, files_of, read_export, unknown
from askfleet.sources.fields import Object, objects, part
from askfleet.sources.jira import comment_entry, document_id, issue_of_comment, issue_record
from askfleet.sources.records import Entry, Record, with_entries
from contracts.document import Outcome
from contracts.errors import InvalidDocument

_SHAPES = "`issues`, an issue with `id` and `fields`, `comments`, or a webhook's `issue`"


def read_jira_export(root: Path) -> Iterator[Record | Outcome]:
    """Records, after the failed outcomes of what could not be read.

    Comments whose issue is not in the export are a document of their own, beside the issue's.
    """
    export = _Export()
    for path in files_of(root, "jira"):
        name = path.name if path == root else path.relative_to(root).as_posix()
        yield from read_export(path, name, export.take)
    yield from export.records()


class _Export:
    def __init__(self) -> None:
        self._issues = Gathered()
        self._comments: dict[str, dict[str, Entry]] = {}

    def take(self, found: Object, where: str) -> Iterator[Outcome]:
        issues, comments = found.get("issues"), objects(found, "comments")
        if isinstance(issues, list):
            names = {name: str(label) for name, label in part(found, "names").items()}
            yield from each(issues, where, lambda issue: issue_record(issue, names=names), self._issues)
        elif _is_list_of_comments(found):
            yield from self._take_comments(comments, where)
        elif "webhookEvent" in found or "fields" in found:
            yield from each([found], where, issue_record, self._issues)
        else:
            raise unknown(found, where, _SHAPES)

    def records(self) -> Iterator[Record]:
        left = dict(self._comments)
        for record in self._issues.records.values():
            yield with_entries(record, left.pop(record.id, {}).values())
        for issue, entries in left.items():
            number = issue.rpartition("/")[2]
            alone = Record(
                f"{issue}#comments", title=f"Comments on issue {number}", url=_address(issue, number)
            )
            yield with_entries(replace(alone, updated=_last(entries)), entries.values())

    def _take_comments(self, comments: list[Object], where: str) -> Iterator[Outcome]:
        for at, comment in enumerate(comments, start=1):
            place = f"{where}[{at}]"
            try:
                entry = comment_entry(comment, place)
                site, issue = issue_of_comment(comment)
                belongs = document_id(site, issue or where)
                self._comments.setdefault(belongs, {})[entry.id] = entry
            except InvalidDocument as error:
                yield failure(place, error)


def _is_list_of_comments(found: Object) -> bool:
    """Zendesk's comments name their author by number."""
    is_list = isinstance(found.get("comments"), list) and "fields" not in found
    return is_list and not any("author_id" in comment for comment in objects(found, "comments"))


def _address(issue: str, number: str) -> str:
    site = issue.removeprefix("jira:").rpartition("/")[0]
    return f"https://{site}/rest/api/3/issue/{number}" if "." in site else ""


def _last(entries: dict[str, Entry]) -> str:
    return max(entry.created for entry in entries.values())
