"""The statement that a person has checked, for the same question or one that differs in a literal alone.

The same: equal content words in the same order, up to inflection. Another literal takes its place only where
nothing else can be meant: it stands once in the question and once in the statement, and the new one is a
number for a number, a date for a date, or a stored value of the very column that the statement compares.
"""

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from workers.catalogue.linking import Link, SchemaIndex, Target, link
from workers.catalogue.model import VerifiedQuery
from workers.catalogue.tokens import Token
from workers.sql.candidates import Candidate
from workers.sql.examples import content, roots_of

DIALECT = "postgres"


def verified_candidate(question: str, index: SchemaIndex) -> Candidate | None:
    asked = content(question)
    spoken = roots_of(asked)
    for query in index.model.verified:
        if any(roots_of(content(known)) == spoken for known in query.questions):
            return Candidate(query.sql, "verified", sure=True, note="A checked example query.")
    return next(
        (
            found
            for query in index.model.verified
            for known in query.questions
            if (found := _substituted(question, known, query, index)) is not None
        ),
        None,
    )


def _substituted(question: str, known: str, query: VerifiedQuery, index: SchemaIndex) -> Candidate | None:
    if not _is_near(content(question), content(known)):
        return None
    mine, theirs = _parts(question, index), _parts(known, index)
    if len(mine) != len(theirs):
        return None
    differing = [(new, old) for new, old in zip(mine, theirs, strict=True) if new.shape != old.shape]
    if len(differing) != 1 or not (differing[0][0].is_literal and differing[0][1].is_literal):
        return None
    new, old = differing[0]
    sql = _replaced(query.sql, old, new)
    if sql is None or sum(part.shape == old.shape for part in theirs) != 1:
        return None
    return Candidate(
        sql, "verified", sure=True, note=f"A checked example query, with {new.text!r} for {old.text!r}."
    )


def _is_near(asked: tuple[Token, ...], known: tuple[Token, ...]) -> bool:
    """A cheap look before the schema is searched for values."""
    mine, theirs = set(roots_of(asked)), set(roots_of(known))
    return 2 * len(mine & theirs) >= min(len(mine), len(theirs))


class _Part:
    """A word, or a literal with the stored values that it may be."""

    def __init__(self, tokens: tuple[Token, ...], values: tuple[Target, ...] = ()) -> None:
        self.tokens, self.values = tokens, values
        self.text = " ".join(token.text for token in tokens)
        self.is_literal = bool(values) or tokens[0].kind in ("number", "date", "quoted")
        self.shape = ("literal", self.text.lower()) if self.is_literal else ("words", *roots_of(tokens))


def _parts(question: str, index: SchemaIndex) -> list[_Part]:
    found = link(question, index)
    valued = {item.first: item for item in found.links if _is_value(item)}
    kept = {token.start for token in content(question)}
    parts, position = [], 0
    while position < len(found.tokens):
        item = valued.get(position)
        span = found.tokens[position : item.last] if item else found.tokens[position : position + 1]
        if item is not None:
            parts.append(_Part(span, item.of("value")))
        elif span[0].start in kept:
            parts.append(_Part(span))
        position += len(span)
    return parts


def _is_value(item: Link) -> bool:
    return item.score == max((target.score for target in item.of("value")), default=-1.0)


def _replaced(sql: str, old: _Part, new: _Part) -> str | None:
    """The statement with the one literal exchanged; None where that is not safe."""
    try:
        tree = sqlglot.parse_one(sql, dialect=DIALECT)
    except SqlglotError:
        return None
    stored = {target.value for target in old.values} | {old.text}
    literals = [item for item in tree.find_all(exp.Literal) if item.this in stored]
    if len(literals) != 1:
        return None
    value = _new_value(literals[0], old, new)
    if value is None:
        return None
    literals[0].replace(value)
    return tree.sql(dialect=DIALECT)


def _new_value(literal: exp.Literal, old: _Part, new: _Part) -> exp.Literal | None:
    kind = old.tokens[0].kind
    if not literal.is_string:
        number = new.tokens[0].number
        same = kind == new.tokens[0].kind == "number" and not {"%"} & {old.text[-1], new.text[-1]}
        return exp.Literal(this=str(number), is_string=False) if same and (number or 0) > 0 else None
    if kind == "date" and new.tokens[0].kind == "date" and "-" in old.text and "-" in new.text:
        return exp.Literal.string(new.text)
    column = _compared_column(literal)
    fitting = {target.value for target in new.values if target.column == column}
    known = any(target.column == column for target in old.values)
    return exp.Literal.string(fitting.pop() or "") if known and len(fitting) == 1 else None


def _compared_column(literal: exp.Literal) -> str | None:
    """The column of `column = 'value'`; any other use of a literal is left alone."""
    parent = literal.parent
    if not isinstance(parent, exp.EQ):
        return None
    other = parent.left if parent.right is literal else parent.right
    return other.name if isinstance(other, exp.Column) else None
