"""What a question says of the rows and compares with nothing: that something is there, was done, is so."""

from typing import TYPE_CHECKING

from sqlglot import exp

from workers.sql.plan import Draft
from workers.sql.reading import Mention
from workers.sql.resolution import ColumnRef

if TYPE_CHECKING:
    from workers.sql.question import Question

_AUXILIARIES = frozenset({"been", "yet", "being", "be", "ever"})
_HAPPENED = frozenset({"been", "are", "is", "were", "was"})
_ENDS = frozenset({"", ".", "?", "!", ",", "already"})
_LACKING = frozenset({"without", "no", "not", "never", "don't", "doesn't", "n't"})


def state_remarks(question: "Question", draft: Draft) -> None:
    """Put them into the draft as conditions."""
    _possessions(question, draft)
    _undone(question, draft)
    _flags(question, draft)
    _acts(question, draft)


def is_possession(question: "Question", mention: Mention) -> bool:
    """`who had a commission`: there has to be one; it is not what is asked for."""
    here = mention.first - 1
    if mention.kind != "column" or question.reading.word(here) not in ("a", "an", "any", "no"):
        return False
    return question.reading.word(here - 1) in ("have", "has", "had", "got", "gets", "with", "without")


def _possessions(question: "Question", draft: Draft) -> None:
    for mention in question.reading.free("column"):
        if mention.weak or not is_possession(question, mention):
            continue
        for ref in question.resolver.columns_of(mention, before=True):
            question.reading.use(mention)
            missing = exp.Is(this=draft.column(ref), expression=exp.null())
            before = range(max(0, mention.first - 4), mention.first)
            without = [at for at in before if question.reading.word(at) in _LACKING]
            question.reading.explain(without)
            draft.where.append(missing if without else exp.Not(this=missing))


def _undone(question: "Question", draft: Draft) -> None:
    """`have not been adopted yet`: the date of what did not happen is missing."""
    for mention in question.reading.free("column"):
        own = [
            ColumnRef(t.entity, t.column or "")
            for t in mention.of("column")
            if t.entity == question.resolver.focus
        ]
        before = range(max(0, mention.first - 4), mention.first)
        negated = next((at for at in before if question.reading.word(at) in ("not", "never")), None)
        if not mention.weak or len(own) != 1 or not _is_date(question, own[0]):
            continue
        if negated is None:
            _done(question, draft, mention, own[0])
            continue
        if not {question.reading.word(at) for at in range(negated + 1, mention.first)} <= _AUXILIARIES:
            continue
        question.reading.use(mention)
        question.reading.explain(range(negated, mention.first))
        question.reading.explain(at for at in (mention.last,) if question.reading.word(at) == "yet")
        question.resolver.doubts += any(c.moment is not None for c in question.conditions)
        draft.where.append(exp.Is(this=draft.column(own[0]), expression=exp.null()))


def _done(question: "Question", draft: Draft, mention: Mention, ref: ColumnRef) -> None:
    """`that have been adopted`, with nothing said of when: there is a date."""
    said = question.reading.word(mention.first - 1) in _HAPPENED
    ends = question.reading.word(mention.last) in _ENDS
    if (
        said
        and ends
        and not question.conditions
        and not any(_is_date(question, ref) for ref in question.shown)
    ):
        question.reading.use(mention)
        missing = exp.Is(this=draft.column(ref), expression=exp.null())
        draft.where.append(exp.Not(this=missing))


def flag(question: "Question", mention: Mention) -> ColumnRef | None:
    """The yes-or-no column of a mention that says something of the rows: `how many singers are male`."""
    if mention.kind != "column" or {"whether", "preference", "flag", "boolean"} & set(question.reading.words):
        return None
    targets = [t for t in mention.of("column") if t.score >= max(x.score for x in mention.targets) - 0.01]
    columns = [question.resolver.column(ColumnRef(t.entity, t.column or "")) for t in targets]
    if not columns or any(column.kind != "boolean" for column in columns):
        return None
    return question.resolver.column_of(targets, question.resolver.owners(mention, before=True))


def _flags(question: "Question", draft: Draft) -> None:
    for mention in question.reading.free("column"):
        ref = flag(question, mention)
        if ref is None:
            continue
        question.reading.use(mention)
        before = question.reading.words[max(0, mention.first - 2) : mention.first]
        negated = bool({"not", "no", "non", "never"} & set(before))
        question.reading.explain(
            range(mention.first - len(before) if negated else mention.first, mention.last)
        )
        draft.where.append(exp.Not(this=draft.column(ref)) if negated else draft.column(ref))


def _acts(question: "Question", draft: Draft) -> None:
    """`are assigned to`: a verb that only one table's reference is called by brings in that table."""
    for mention in question.reading.free("column"):
        keys = [
            t
            for t in mention.of("column")
            if question.resolver.column(ColumnRef(t.entity, t.column or "")).role == "id"
        ]
        word = question.reading.word(mention.last - 1)
        if (
            not mention.weak
            or not word.endswith("ed")
            or len({t.entity for t in mention.targets}) != 1
            or not keys
        ):
            continue
        ref = ColumnRef(keys[0].entity, keys[0].column or "")
        for join in question.model.active_joins:
            if join.left == ref.entity and join.columns[0][0] == ref.column and join.right in draft.tables:
                draft.need(ref.entity)


def happened(question: "Question") -> list[ColumnRef]:
    """`on what dates were they hired`, `when was it reported`: the date that the verb names."""
    if not {"when", "date", "dates"} & set(question.reading.words[:5]):
        return []
    for mention in question.reading.free("column"):
        dates = [t for t in mention.of("column") if _is_date(question, ColumnRef(t.entity, t.column or ""))]
        if mention.weak and dates and question.reading.word(mention.first) not in ("date", "dates"):
            ref = question.resolver.column_of(dates, question.resolver.owners(mention, before=True))
            question.reading.use(mention)
            return [ref] if ref else []
    return []


def _is_date(question: "Question", ref: ColumnRef) -> bool:
    return question.resolver.column(ref).kind in ("date", "timestamp")
