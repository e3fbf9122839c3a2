"""Issues and comments of Jira, as versions 2 and 3 of its API and exports made from them write them."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from askfleet.sources.fields import Object, flag, number, object_of, objects, part, required, text, texts
from askfleet.sources.records import Attachment, Body, Entry, Fact, Record, fact

UNKNOWN_SITE = "export"
_ISSUE_OF_COMMENT = re.compile(r"/issue/([^/]+)/comment/")
_CUSTOM = re.compile(r"customfield_\d+")
_WORD = re.compile(r"[^\W\d_]{2}")
# A rank such as `0|i0002g:`, a JSON text, a board's colour label: for Jira's own use.
_INTERNAL_VALUE = re.compile(r"\d+\||[{\[]|ghx-label-")
_DELETED_EVENT = "jira:issue_deleted"


def issue_record(value: object, *, site: str = "", names: Mapping[str, str] | None = None) -> Record:
    """One issue, or a webhook's message about one.

    Args:
        site: host of the Jira; taken from the issue's own address when empty.
        names: what people call the fields, from `expand=names`.

    Raises:
        InvalidDocument: not an issue.
    """
    issue = object_of(value, "the issue")
    if "webhookEvent" in issue:
        record = issue_record(issue.get("issue"), site=site, names=names)
        return Record(record.id, deleted=True) if text(issue, "webhookEvent") == _DELETED_EVENT else record
    number_ = required(issue, "id", f"the issue {text(issue, 'key') or '?'}")
    key = text(issue, "key") or number_
    host = site or site_of(text(issue, "self"))
    fields = object_of(issue.get("fields"), f"{key}: fields")
    return Record(
        id=document_id(host, number_),
        title=f"{key}: {text(fields, 'summary')}".rstrip(": "),
        url=f"https://{host}/browse/{key}" if host != UNKNOWN_SITE else "",
        facts=tuple(_facts(fields, names or {})),
        body=_body(fields.get("description"), f"{key}: description"),
        entries=tuple(_entries(fields, key)),
        attachments=tuple(_attachments(fields)),
        created=text(fields, "created") or text(issue, "created"),
        updated=text(fields, "updated") or text(issue, "updated"),
        deleted=flag(issue, "deleted"),
    )


def comment_entry(value: object, where: str) -> Entry:
    """Raises InvalidDocument when it is no comment."""
    comment = object_of(value, where)
    number_ = required(comment, "id", where)
    return Entry(
        id=number_,
        author=_person(part(comment, "author")),
        created=text(comment, "created"),
        body=_body(comment.get("body"), f"{where} {number_}") or Body("text", ""),
        internal=bool(part(comment, "visibility")) or not flag(comment, "jsdPublic", default=True),
    )


def issue_of_comment(comment: Object) -> tuple[str, str]:
    """(site, id of the issue); the id is empty when the comment does not tell."""
    address = text(comment, "self")
    found = _ISSUE_OF_COMMENT.search(address)
    return site_of(address), found[1] if found else text(comment, "issueId")


def missing_comments(issue: Object) -> bool:
    """Whether the issue holds only the first of its comments."""
    comment = part(issue, "fields", "comment")
    return number(comment, "total") > len(objects(comment, "comments"))


def document_id(site: str, issue: str) -> str:
    return f"jira:{site}/{issue}"


def site_of(address: str) -> str:
    return urlsplit(address).netloc if address.startswith(("http://", "https://")) else UNKNOWN_SITE


def _body(value: object, where: str) -> Body | None:
    """Version 3 writes documents, version 2 wiki markup; both may be null."""
    if value is None or value == "":
        return None
    return Body("wiki", value, where) if isinstance(value, str) else Body("adf", value, where)


def _entries(fields: Object, key: str) -> Iterator[Entry]:
    for comment in _listed(fields, "comment", "comments"):
        yield comment_entry(comment, f"{key}: comment")
    for log in _listed(fields, "worklog", "worklogs"):
        body = _body(log.get("comment"), f"{key}: work log {text(log, 'id')}")
        if body is not None:
            yield Entry(
                id=f"worklog-{text(log, 'id')}",
                author=_person(part(log, "author")),
                created=text(log, "started") or text(log, "created"),
                body=body,
                kind=f"Work log ({text(log, 'timeSpent')})" if text(log, "timeSpent") else "Work log",
                internal=bool(part(log, "visibility")),
            )


def _listed(fields: Object, name: str, inner: str) -> list[Object]:
    """A page of a list, or the list itself."""
    return objects(fields, name) or objects(fields, name, inner)


def _attachments(fields: Object) -> Iterator[Attachment]:
    for file in objects(fields, "attachment"):
        yield Attachment(
            text(file, "filename") or text(file, "id"), text(file, "mimeType"), number(file, "size")
        )


def _facts(fields: Object, names: Mapping[str, str]) -> Iterator[Fact]:
    yield from fact("Project", text(fields, "project", "name") or text(fields, "project", "key"))
    for label, name in _NAMED.items():
        yield from fact(label, *_values(fields.get(name)))
    yield from fact("Labels", *texts(fields, "labels"))
    yield from fact("Parent", text(fields, "parent", "key"))
    yield from fact("Subtasks", *(text(task, "key") for task in objects(fields, "subtasks")))
    yield from fact("Links", *_links(fields))
    for name, value in fields.items():
        if _CUSTOM.fullmatch(name):
            kept = [
                found for found in _values(value) if _WORD.search(found) and not _INTERNAL_VALUE.match(found)
            ]
            yield from fact(names.get(name, name), *kept)


_NAMED = {
    "Type": "issuetype",
    "Status": "status",
    "Resolution": "resolution",
    "Priority": "priority",
    "Assignee": "assignee",
    "Reporter": "reporter",
    "Components": "components",
    "Affected versions": "versions",
    "Fixed in": "fixVersions",
    "Due": "duedate",
    "Environment": "environment",
}


def _links(fields: Object) -> Iterator[str]:
    for link in [*objects(fields, "issuelinks"), *objects(fields, "sub-tasks")]:
        for side, verb in (("inwardIssue", "inward"), ("outwardIssue", "outward")):
            key = text(link, side, "key")
            if key:
                yield f"{text(link, 'type', verb)} {key}".strip()


def _values(value: object) -> list[str]:
    """What a field shows: text, or the name of an option, a person, a version, also of several."""
    if isinstance(value, list):
        return [found for item in value for found in _values(item)]
    if isinstance(value, dict):
        if value.get("type") == "doc":
            return []
        shown = text(value, "displayName") or text(value, "name") or text(value, "value")
        child = text(value, "child", "value")
        return [f"{shown} / {child}" if child else shown] if shown else []
    return [value] if isinstance(value, str) else []


def _person(user: Object) -> str:
    return text(user, "displayName") or text(user, "name")
