"""Tickets, comments and help-centre articles of Zendesk, from its API and from exports."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from askfleet.sources.fields import Object, flag, number, object_of, objects, part, required, text, texts
from askfleet.sources.records import Attachment, Body, Entry, Fact, Record, fact

UNKNOWN_SITE = "export"
_CUSTOM_LIMIT = 100


@dataclass(frozen=True)
class People:
    """Names by id, as side-loaded lists or an export's own lists give them."""

    users: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    organizations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, page: Object) -> "People":
        return cls(_names(page, "users"), _names(page, "groups"), _names(page, "organizations"))


def ticket_record(value: object, *, site: str = "", people: People = People()) -> Record:
    """A ticket of the API, of a JSON export (its comments inside) or of the old incremental export.

    Raises:
        InvalidDocument: not a ticket.
    """
    ticket = object_of(value, "the ticket")
    number_ = required(ticket, "id", "the ticket")
    host = site or site_of(text(ticket, "url"))
    comments = [*objects(ticket, "comments")]
    first = text(ticket, "description")
    return Record(
        id=ticket_id(host, number_),
        title=f"Ticket {number_}: {text(ticket, 'subject') or text(ticket, 'raw_subject')}".rstrip(": "),
        url=f"https://{host}/agent/tickets/{number_}" if host != UNKNOWN_SITE else "",
        facts=tuple(_ticket_facts(ticket, people)),
        body=Body("text", first, f"ticket {number_}: description") if first.strip() else None,
        entries=comment_entries(comments, requester=text(ticket, "requester_id"), people=people),
        created=text(ticket, "created_at"),
        updated=text(ticket, "updated_at"),
        deleted=text(ticket, "status").lower() == "deleted",
    )


def comment_entries(
    comments: Sequence[object], *, requester: str = "", people: People = People()
) -> tuple[Entry, ...]:
    """Raises InvalidDocument when one is no comment."""
    return tuple(_comment(comment, requester, people) for comment in comments)


def audit_comments(audit: Object) -> Iterator[Object]:
    """The comments among the events of an audit, each with the audit's time."""
    for event in objects(audit, "events"):
        if text(event, "type") in ("Comment", "VoiceComment"):
            yield {"created_at": text(audit, "created_at"), **event}


def article_record(value: object, *, site: str = "") -> Record:
    """A draft is taken as deleted: nobody but its author may read it.

    Raises:
        InvalidDocument: not an article.
    """
    article = object_of(value, "the article")
    number_ = required(article, "id", "the article")
    url = text(article, "html_url")
    host = site or site_of(url or text(article, "url"))
    facts = [
        *fact("Locale", text(article, "locale")),
        *fact("Section", text(article, "section_name") or text(article, "section_id")),
        *fact("Labels", *texts(article, "label_names")),
    ]
    return Record(
        id=article_id(host, number_, text(article, "locale")),
        title=text(article, "title") or text(article, "name"),
        url=url,
        facts=tuple(facts),
        body=Body("html", text(article, "body"), f"article {number_}: body"),
        created=text(article, "created_at"),
        updated=text(article, "updated_at") or text(article, "edited_at"),
        deleted=flag(article, "draft"),
    )


def ticket_id(site: str, ticket: str) -> str:
    return f"zendesk:{site}/tickets/{ticket}"


def article_id(site: str, article: str, locale: str) -> str:
    """Translations share the number of their article."""
    return f"zendesk:{site}/articles/{article}" + (f"/{locale}" if locale else "")


def site_of(address: str) -> str:
    return urlsplit(address).netloc if address.startswith(("http://", "https://")) else UNKNOWN_SITE


def _comment(value: object, requester: str, people: People) -> Entry:
    comment = object_of(value, "the comment")
    number_ = required(comment, "id", "the comment")
    author = text(comment, "author_id")
    known = people.users.get(author, "")
    internal = not flag(comment, "public", default=True)
    return Entry(
        id=number_,
        author=known or ("the requester" if author and author == requester else ""),
        created=text(comment, "created_at"),
        body=_comment_body(comment, number_),
        kind="Internal note" if internal else "Comment",
        internal=internal,
        attachments=tuple(_attachments(comment)),
    )


def _comment_body(comment: Object, number_: str) -> Body:
    where = f"comment {number_}"
    html = text(comment, "html_body")
    if html.strip():
        return Body("html", html, where)
    return Body("text", text(comment, "plain_body") or text(comment, "body"), where)


def _attachments(comment: Object) -> Iterator[Attachment]:
    for file in objects(comment, "attachments"):
        yield Attachment(
            text(file, "file_name") or text(file, "id"), text(file, "content_type"), number(file, "size")
        )


def _ticket_facts(ticket: Object, people: People) -> Iterator[Fact]:
    yield from fact("Type", text(ticket, "type") or text(ticket, "ticket_type"))
    yield from fact("Status", text(ticket, "status"))
    yield from fact("Priority", text(ticket, "priority"))
    yield from fact("Tags", *(texts(ticket, "tags") or text(ticket, "current_tags").split()))
    yield from fact("Channel", text(ticket, "via", "channel") or text(ticket, "via"))
    for label, names, key, plain in (
        ("Requester", people.users, "requester_id", "req_name"),
        ("Assignee", people.users, "assignee_id", "assignee_name"),
        ("Group", people.groups, "group_id", "group_name"),
        ("Organization", people.organizations, "organization_id", "organization_name"),
    ):
        yield from fact(label, names.get(text(ticket, key), "") or text(ticket, plain).strip("-"))
    yield from fact("Due", text(ticket, "due_at") or text(ticket, "due_date"))
    yield from fact("Satisfaction", _rating(part(ticket, "satisfaction_rating")))
    for custom in objects(ticket, "custom_fields")[:_CUSTOM_LIMIT]:
        values = texts(custom, "value") or [text(custom, "value")]
        yield from fact(f"Field {text(custom, 'id')}", *values)


def _rating(rating: Object) -> str:
    score = text(rating, "score")
    if score in ("", "unoffered", "offered"):
        return ""
    comment = text(rating, "comment")
    return f"{score}: {comment}" if comment else score


def _names(page: Object, name: str) -> dict[str, str]:
    return {text(item, "id"): text(item, "name") for item in objects(page, name)}
