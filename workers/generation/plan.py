"""Which parts an answer has, and who words each: decided by the log alone, so every attempt decides alike."""

from dataclasses import dataclass

from contracts import Route
from workers.generation.direct import direct_reply
from workers.generation.grounding import carried, not_found
from workers.generation.prompt import Material
from workers.generation.record import Record
from workers.generation.rows_text import has_result, rows_text
from workers.generation.settings import GenerationSettings


@dataclass(frozen=True)
class Plan:
    """Fixed text, then what is written from `material` (None: nothing), then fixed text again.

    `instead` takes the place of what a model says of the rows as soon as it does not agree with them.
    """

    before: str = ""
    material: Material | None = None
    after: str = ""
    answered: bool = True
    cites_rows: bool = False
    instead: str = ""


def plan(record: Record, settings: GenerationSettings) -> Plan:
    if record.route == Route.DIRECT:
        reply, answered = direct_reply(record.question)
        return Plan(before=reply, answered=answered)
    if record.route == Route.SQL:
        return _from_rows(record, settings)
    if record.route == Route.DOCUMENTS:
        return _from_documents(record, settings)
    return _from_both(record, settings)


def _from_rows(record: Record, settings: GenerationSettings) -> Plan:
    if settings.rows_answer == "engine" and has_result(record.rows):
        return Plan(
            material=_material(record, documents=False, rows=True), instead=_rows_text(record, settings)
        )
    return Plan(before=_rows_text(record, settings), answered=has_result(record.rows), cites_rows=True)


def _from_documents(record: Record, settings: GenerationSettings) -> Plan:
    if _documents_carry(record, settings):
        return Plan(material=_material(record, documents=True, rows=False))
    return Plan(before=_not_found(record), answered=False)


def _from_both(record: Record, settings: GenerationSettings) -> Plan:
    """Rows first; rows that may answer something else come behind what the documents say."""
    documents = _documents_carry(record, settings)
    rows = record.rows
    if not has_result(rows) or rows is None:
        return _from_documents(record, settings)
    if settings.rows_answer == "engine":
        return Plan(
            material=_material(record, documents=documents, rows=True), instead=_rows_text(record, settings)
        )
    said = _rows_text(record, settings)
    if not documents:
        return Plan(before=said, cites_rows=True)
    material = _material(record, documents=True, rows=False)
    if rows.confidence == "high" and rows.rows:
        return Plan(before=f"{said}\n\n", material=material, cites_rows=True)
    return Plan(material=material, after=f"\n\n{said}", cites_rows=True)


def _documents_carry(record: Record, settings: GenerationSettings) -> bool:
    scores = [passage.score for passage in record.passages]
    statement = (record.rows.statement or "") if record.rows else ""
    beside = statement if record.route == Route.BOTH else ""
    return carried(record.question, record.support, scores, beside=beside) >= settings.carried_from()


def _material(record: Record, *, documents: bool, rows: bool) -> Material:
    return Material(
        question=record.question,
        sources=record.support.sources if documents else (),
        rows=record.rows if rows else None,
        rows_number=record.rows_number,
        history=record.query.history,
    )


def _rows_text(record: Record, settings: GenerationSettings) -> str:
    if record.rows is None:
        return "The database was not asked."
    return rows_text(record.rows, max_rows=settings.max_rows_shown, citation=f" [{record.rows_number}]")


def _not_found(record: Record) -> str:
    evidence = record.evidence
    if evidence is not None and evidence.problem is not None:
        return f"The documents could not be searched: {evidence.problem.title}."
    said = not_found(record.support.sources)
    rows = record.rows
    if record.route == Route.BOTH and rows is not None:
        return f"{said} {rows_text(rows)}"
    return said
