"""What a source holds: counted while it is read, shown as a table or as JSON."""

from collections import Counter
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.table import Table

from askfleet.sources.language import language_of
from askfleet.sources.records import Record, moment
from askfleet.sources.rendering import Rendered

_COUNTED = ("Project", "Type", "Status", "Priority", "Labels", "Tags", "Channel", "Section", "Locale")
_SHOWN = 12


class Analysis(BaseModel):
    """Shares are of the documents that are not deletions."""

    model_config = ConfigDict(frozen=True)

    documents: int = 0
    deletions: int = 0
    comments: int = 0
    internal: int = Field(default=0, description="comments that not everybody may read")
    attachments: int = 0
    oldest: str = Field(default="", description="the earliest creation, ISO 8601")
    newest: str = Field(default="", description="the latest change, ISO 8601")
    values: dict[str, dict[str, int]] = Field(default={}, description="documents by field and value")
    languages: dict[str, int] = Field(
        default={}, description="by frequent words; ?? where the text is too short"
    )
    masked: dict[str, int] = Field(default={}, description="what each rule masked")
    masked_share: float = Field(default=0.0, description="documents in which something was masked")
    removed_characters: int = Field(default=0, description="signatures and quotation")


class Census:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._values: dict[str, Counter[str]] = {}
        self._languages: Counter[str] = Counter()
        self._masked: Counter[str] = Counter()
        self._created: datetime | None = None
        self._updated: datetime | None = None

    def add(self, record: Record, made: Rendered) -> None:
        if record.deleted:
            self._counts["deletions"] += 1
            return
        files = len(record.attachments) + sum(len(entry.attachments) for entry in record.entries)
        self._counts.update(
            documents=1,
            comments=len(record.entries),
            internal=sum(entry.internal for entry in record.entries),
            attachments=files,
            removed=made.removed,
            touched=1 if made.masked else 0,
        )
        self._masked += made.masked
        self._languages[language_of(made.document.content.decode("utf-8", "replace"))] += 1
        for fact in record.facts:
            if fact.label in _COUNTED:
                self._values.setdefault(fact.label, Counter()).update(fact.values)
        self._dates(record)

    def analysis(self) -> Analysis:
        documents = self._counts["documents"]
        return Analysis(
            documents=documents,
            deletions=self._counts["deletions"],
            comments=self._counts["comments"],
            internal=self._counts["internal"],
            attachments=self._counts["attachments"],
            oldest=self._created.isoformat() if self._created else "",
            newest=self._updated.isoformat() if self._updated else "",
            values={label: dict(counts.most_common()) for label, counts in self._values.items()},
            languages=dict(self._languages.most_common()),
            masked=dict(self._masked),
            masked_share=round(self._counts["touched"] / documents, 4) if documents else 0.0,
            removed_characters=self._counts["removed"],
        )

    def _dates(self, record: Record) -> None:
        created, updated = moment(record.created), moment(record.updated)
        if created and (self._created is None or created < self._created):
            self._created = created
        if updated and (self._updated is None or updated > self._updated):
            self._updated = updated


def show(analysis: Analysis, console: Console) -> None:
    """The most frequent values of each field; the rest is a number."""
    table = Table("What", "Found", title="What the source holds", title_justify="left")
    table.add_row("documents", f"{analysis.documents:,}, and {analysis.deletions:,} deleted ones")
    table.add_row("comments", f"{analysis.comments:,}, {analysis.internal:,} of them internal")
    table.add_row("attachments", f"{analysis.attachments:,} named")
    table.add_row("dates", f"{analysis.oldest[:10] or '?'} to {analysis.newest[:10] or '?'}")
    for label, counts in [*analysis.values.items(), ("Language", analysis.languages)]:
        table.add_row(label.lower(), _frequent(counts))
    share = f"{analysis.masked_share:.0%} of the documents"
    table.add_row("masked", f"{_frequent(analysis.masked)} in {share}" if analysis.masked else "nothing")
    table.add_row("removed", f"{analysis.removed_characters:,} characters of signatures and quotation")
    console.print(table)


def _frequent(counts: dict[str, int]) -> str:
    named = [f"{value} {number:,}" for value, number in list(counts.items())[:_SHOWN]]
    left = len(counts) - len(named)
    return ", ".join([*named, f"and {left:,} more"] if left else named) or "none"
