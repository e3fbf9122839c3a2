"""A record as the document that is indexed: converted to Markdown, cleaned, with its fields and comments."""

import base64
from collections import Counter
from dataclasses import dataclass, field

from askfleet.sources.adf import adf_markdown
from askfleet.sources.escaping import escaped, plain_as_markdown
from askfleet.sources.hypertext import html_markdown
from askfleet.sources.records import Attachment, Body, Entry, Record, moment
from askfleet.sources.replies import without_quotes, without_signature
from askfleet.sources.wiki import wiki_markdown
from contracts.document import Document
from workers.shell.masking import RULES, Rule, masked


@dataclass(frozen=True)
class Cleaning:
    """What is taken out; each can be switched off."""

    masks: tuple[Rule, ...] = RULES
    signatures: bool = True
    quotes: bool = True
    internal: bool = False
    """True leaves out internal notes and comments that only some may read."""


@dataclass(frozen=True)
class Rendered:
    """`masked` counts what each rule found, `removed` the characters of signatures and quotation."""

    document: Document
    masked: Counter[str] = field(default_factory=Counter)
    removed: int = 0


def rendered(record: Record, cleaning: Cleaning) -> Rendered:
    """Raises InvalidDocument when a text is not in the format that it should have."""
    if record.deleted:
        return Rendered(Document(id=record.id, action="delete"))
    draft = _Draft(cleaning)
    content = draft.page(record)
    title = draft.masked(record.title)
    document = Document(
        id=record.id,
        title=title,
        source=record.url,
        content=base64.b64encode(content.encode("utf-8", "replace")),
    )
    return Rendered(document, draft.found, draft.removed)


def markdown_of(body: Body, cleaning: Cleaning) -> str:
    """Converted, not yet cleaned, save for what only HTML marks as quoted."""
    if body.format == "adf":
        return adf_markdown(body.content)
    text = str(body.content)
    if body.format == "html":
        return html_markdown(
            text, name=body.where, quotes=not cleaning.quotes, signatures=not cleaning.signatures
        )
    return wiki_markdown(text) if body.format == "wiki" else plain_as_markdown(text)


class _Draft:
    """Counts while it writes one page."""

    def __init__(self, cleaning: Cleaning) -> None:
        self._cleaning = cleaning
        self.found: Counter[str] = Counter()
        self.removed = 0

    def page(self, record: Record) -> str:
        entries = [entry for entry in record.entries if not (self._cleaning.internal and entry.internal)]
        body = self._text(record.body) if record.body else ""
        sections = [f"# {escaped(record.title)}" if record.title else "", self._facts(record), body]
        sections.append(_attachments(record.attachments))
        sections += self._entries(entries, body)
        return self.masked("\n\n".join(section for section in sections if section)) + "\n"

    def masked(self, text: str) -> str:
        kept, found = masked(text, self._cleaning.masks)
        self.found += found
        return kept

    def _facts(self, record: Record) -> str:
        """A line each: the chunk that holds them answers questions about the state of a ticket."""
        lines = [f"- {escaped(fact.label)}: {escaped(', '.join(fact.values))}" for fact in record.facts]
        for label, stamp in (("Created", record.created), ("Updated", record.updated)):
            if shown := _shown_time(stamp):
                lines.append(f"- {label}: {shown}")
        return "\n".join(lines)

    def _entries(self, entries: list[Entry], description: str) -> list[str]:
        """Zendesk's first comment is the description once more."""
        texts = [(entry, self._text(entry.body)) for entry in entries]
        if texts and description and _plain(texts[0][1]) == _plain(description):
            first = texts.pop(0)[0]
            named = _attachments(first.attachments)
            return [*([named] if named else []), *self._shown(texts)]
        return self._shown(texts)

    def _shown(self, texts: list[tuple[Entry, str]]) -> list[str]:
        parts = ["## Comments"] if texts else []
        for entry, text in texts:
            who = f" by {escaped(entry.author)}" if entry.author else ""
            when = f", {_shown_time(entry.created)}" if _shown_time(entry.created) else ""
            parts += [f"### {entry.kind}{who}{when}", text, _attachments(entry.attachments)]
        return parts

    def _text(self, body: Body) -> str:
        text = markdown_of(body, self._cleaning)
        kept = without_quotes(text) if self._cleaning.quotes else text
        if self._cleaning.signatures:
            kept = without_signature(kept)
        self.removed += len(text) - len(kept)
        return kept


def _attachments(files: tuple[Attachment, ...]) -> str:
    if not files:
        return ""
    return "\n".join(["Attachments:", "", *(f"- {escaped(_named(file))}" for file in files)])


def _named(file: Attachment) -> str:
    details = [file.media_type, f"{file.size:,} bytes" if file.size else ""]
    stated = ", ".join(detail for detail in details if detail)
    return f"{file.name} ({stated})" if stated else file.name


def _shown_time(stamp: str) -> str:
    found = moment(stamp)
    return found.strftime("%Y-%m-%d %H:%M UTC") if found else ""


def _plain(markdown: str) -> str:
    return "".join(sign for sign in markdown if sign.isalnum())
