"""Rows that refer to rows of their own table: an employee's manager, who referred a buyer, a part's parent.

A question about them is a question about the table without that clause, which the planner answers, and a
condition on the reference that takes the clause's place.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import sqlglot
from sqlglot import exp

from workers.catalogue.model import Entity, SemanticModel
from workers.catalogue.words import split_identifier
from workers.sql.plan import identifier
from workers.sql.proposal import NoProposal, Proposal

DIALECT = "postgres"
Plan = Callable[[str], Proposal | NoProposal]

_REFERENCE_WORDS = frozenset(("id", "no", "nr", "number", "code", "key", "ref", "fk", "to", "by", "of"))
_SUPERIORS = ("manager", "boss", "supervisor", "superior")
_SUPERIOR_WORDS = frozenset((*_SUPERIORS, "reports", "report", "chief", "mgr"))
_SUPERVISING = ("manag", "supervis")
# Stands for the figure of the other row until the planner has found the column it is compared with.
_FIGURE, _DATE = "987654321", "1987-06-05"
_WHO = r"(?:who|that|which)"
_NAMED = r"(?P<named>[^?.,;]+?)"
_OTHERS = (
    r"(?:anyone|anybody|someone|somebody|others|nobody|no one"
    r"|(?:any|some|other|another|at least one)\b[^?.,]*?)"
)
_COMPARED = (
    r"(?P<compared>(?:more|less|higher|lower|greater|smaller|fewer|older|younger|bigger|larger|before|after)"
    r"\b(?: [\w ]+?)?)"
)
_HOLDING = re.compile(
    rf"\s*(?:\b{_WHO} )?\b(?:have|has|had|having|with|earns?|gets?|receives?|do|does)(?: an?)? $",
    re.IGNORECASE,
)


# `Who manages Ann?`, `who is the manager of Ann?` ask for the other row.
_ASKS_ABOVE = re.compile(r"^[Ww]ho (?:is|was|are|were) the\b|^[Ww]ho (?!report)\w+ [A-Z]")
_JOINING = frozenset(("and", "or", "but"))
_PLACING = frozenset(("in", "from", "with", "at", "who", "that", "for", "on"))


@dataclass(frozen=True)
class Reference:
    """`column` refers to `key` of the same table; `noun` and `verb` are patterns of what that is called."""

    entity: Entity
    column: str
    key: str
    noun: str
    verb: str

    @property
    def thing(self) -> str:
        return self.entity.name.replace("_", " ")


Condition = Callable[[Reference, Plan], exp.Expr | None]


@dataclass(frozen=True)
class Clause:
    """The question without its clause, and what the clause says of the rows."""

    rest: str
    condition: Condition
    sure: bool = True


def references(model: SemanticModel) -> list[Reference]:
    found = []
    for join in model.active_joins:
        entity = model.by_key.get(join.left)
        if join.left != join.right or entity is None or len(join.columns) != 1:
            continue
        column, key = join.columns[0]
        words = [word for word in split_identifier(column) if word not in _REFERENCE_WORDS]
        alone = sum(other.table == entity.table for other in model.visible) == 1
        if words and alone:
            found.append(Reference(entity, column, key, *_called(words)))
    return found


def _called(words: list[str]) -> tuple[str, str]:
    nouns = {" ".join(words), words[-1]}
    stems = {re.sub(r"(?:er|or)$", "", noun) for noun in nouns}
    stems |= {stem[:-1] for stem in stems if stem[-2:-1] == stem[-1:]}
    if _SUPERIOR_WORDS & set(words):
        nouns |= set(_SUPERIORS)
        stems |= set(_SUPERVISING)
    noun = "|".join(sorted(map(re.escape, nouns), key=len, reverse=True))
    verb = "|".join(sorted((re.escape(stem) for stem in stems if len(stem) > 2), key=len, reverse=True))
    return rf"(?:{noun})(?:e?s)?\b", rf"(?:{verb})(?:e|es|ed|d|s|ing)?\b"


def plan_kinship(question: str, model: SemanticModel, plan: Plan) -> Proposal | None:
    """The statement of a question about such a reference; None where it is none or can't be planned."""
    whole = " ".join(question.split()).rstrip("?. ")
    known = [reference for reference in references(model) if _is_named(whole, reference)]
    for reference in known:
        text = whole
        if len(known) == 1 and not _ASKS_ABOVE.match(text):
            text = re.sub(r"^who\b", f"Which {reference.thing}", text, flags=re.IGNORECASE)
        for clause in _clauses(text, reference):
            made = _narrowed(clause, reference, plan)
            if made is not None:
                return made
        other = _beside(text, reference, plan) or _counted(text, reference)
        if other is not None:
            return other
    return None


def _is_named(text: str, of: Reference) -> bool:
    reporting = "|report" if _SUPERIORS[0] in of.noun else ""
    return re.search(rf"\b(?:{of.noun}|{of.verb}{reporting})", text, re.IGNORECASE) is not None


def _clauses(text: str, of: Reference) -> Iterator[Clause]:
    """What the question may say, the most particular first."""
    comparing = (
        rf"{_COMPARED} (?:than )?(?:(?:that|those|the [\w ]+?) of )?"
        rf"(?:(?:their|his|her|its|the|own) )+{of.noun}(?:'s?)?(?: \w+)?$"
    )
    for found in _found(text, comparing):
        yield _compared(text, found)
    for pattern, condition, sure in _forms(of):
        for _ in _found(text, pattern):
            yield Clause(_without(text, pattern), condition, sure)
    yield from _named(text, of)


def _forms(of: Reference) -> Iterator[tuple[str, Condition, bool]]:
    """How it is said that a row refers to another or is referred to, what it means, and whether for sure."""
    lacking = (
        rf"(?:{_WHO} )?(?:(?:do|does|did) not have|(?:don't|doesn't) have|ha(?:ve|s|ving) no|without|with no)"
        rf" (?:a |an |any )?{of.noun}$"
    )
    yield lacking, _refers_to_none, True
    unrelated = (
        rf"(?:{_WHO} )?(?:(?:are|is|were|was|have|has|had) (?:not|never)(?: been)?|never)"
        rf" {of.verb} by {_OTHERS}$"
        rf"|(?:{_WHO} )?(?:reports? to (?:nobody|no one)|(?:do|does) not report to {_OTHERS})$"
    )
    yield unrelated, _refers_to_none, True
    childless = (
        rf"{_WHO} (?:(?:do|does|did) not|don't|doesn't|didn't|never|ha(?:ve|s) (?:not|never))"
        rf" {of.verb} {_OTHERS}$"
        rf"|{_WHO} (?:are|is) not (?:the |a |an )?{of.noun}(?: of {_OTHERS})?$"
    )
    yield childless, lambda of, _plan: exp.Not(this=_refers(of)), True
    related = (
        rf"(?:{_WHO} )?(?:ha(?:ve|s) )?{of.verb} (?!(?:nobody|no one)){_OTHERS}$"
        rf"|{_WHO} (?:are|is) (?:also )?(?:the |a |an )?{of.noun}(?: of {_OTHERS})?$"
    )
    yield related, lambda of, _plan: _refers(of), False
    having = rf"(?:{_WHO} )?(?:have|has|with|having) (?:a |an |any ){of.noun}$"
    yield having, lambda of, _plan: exp.Not(this=_is_null(of)), True


def _refers_to_none(of: Reference, _plan: Plan) -> exp.Expr:
    return _is_null(of)


def _named(text: str, of: Reference) -> Iterator[Clause]:
    """Those whose manager somebody is, and the manager of somebody."""
    below = (
        rf"(?:,? ?{_WHO} )?(?:(?:are|is|were|was|have been|has been) )?(?<!not ){of.verb} by {_NAMED}$",
        rf"(?:,? ?{_WHO} )?reports?(?:ing)?(?: directly)? to {_NAMED}$",
        rf"whose {of.noun}(?:'s? name)? (?:is|was) (?:named |called )?{_NAMED}$",
        rf"(?:(?:have|has|with) )?{_NAMED} as (?:their |a |the )?{of.noun}$",
        rf"(?:do|does|did|has|have) {_NAMED} {of.verb}$",
    )
    for pattern in below:
        for found in _found(text, pattern):
            who = found["named"]
            yield Clause(_without(text, pattern), partial(_within, who=who, down=True), _is_plain(who))
    above = (
        rf"(?:the )?{of.noun} of {_NAMED}$",
        rf"(?<!\w){_NAMED_BEFORE}'s? {of.noun}$",
        rf"(?<=^Who ){of.verb} {_NAMED}$",
        rf"{_WHO} {of.verb} {_NAMED}$",
    )
    for pattern in above:
        for found in _found(text, pattern):
            who = found["named"]
            rest = f"{text[: found.start()]} {of.thing}"
            rest = f"What is the name of the {of.thing}" if re.match(r"who\b", text, re.IGNORECASE) else rest
            yield Clause(rest, partial(_within, who=who, down=False), _is_plain(who))


_NAMED_BEFORE = r"(?P<named>(?:[A-Z][\w-]*)(?: [A-Z][\w-]*)*)"


def _found(text: str, pattern: str) -> Iterator[re.Match[str]]:
    flags = re.NOFLAG if _NAMED_BEFORE in pattern else re.IGNORECASE
    found = re.search(rf"(?<!\w)(?:{pattern})", text, flags)
    if found is not None:
        yield found


def _is_plain(who: str) -> bool:
    """Whether nothing in it may also be said of the rows that are asked for."""
    words = set(who.lower().split())
    named = who.lower().startswith(("someone ", "somebody ", "the ", "an ", "a ", "any "))
    return not words & _JOINING and (named or not words & _PLACING)


def _without(text: str, pattern: str) -> str:
    return re.sub(rf"(?<!\w)(?:{pattern})", "", text, count=1, flags=re.IGNORECASE).strip()


def _compared(text: str, found: re.Match[str]) -> Clause:
    """The clause with a figure in the place of `their manager`; the planner finds its column."""
    compared = found["compared"].strip()
    dated = compared.split()[0].lower() in ("before", "after")
    than = "" if dated else " than"
    compared, _, column = compared.removesuffix(" than").partition(" ")
    before = text[: found.start("compared")]
    if column:
        before = _HOLDING.sub("", before)
        before = f"{before.rstrip()} whose {column} is "
    rest = f"{before}{compared}{than} {_DATE if dated else _FIGURE}"
    return Clause(rest, lambda _of, _plan: exp.true())


def _is_null(of: Reference) -> exp.Expr:
    return exp.Is(this=_column(of, of.column), expression=exp.null())


def _refers(of: Reference) -> exp.Expr:
    """The key is among what the rows of the table refer to."""
    inner = exp.Select().select(_column(of, of.column)).from_(_source(of))
    return _in(of, of.key, inner.where(exp.Not(this=_is_null(of))))


def _in(of: Reference, column: str, inner: exp.Select) -> exp.Expr:
    return exp.In(this=_column(of, column), query=exp.Subquery(this=inner))


def _within(of: Reference, plan: Plan, *, who: str, down: bool) -> exp.Expr | None:
    """Rows that refer to somebody (`down`), or that somebody refers to; who that is, the planner finds."""
    who = who.strip()
    asks = [f"How many {of.thing} are named {who}", f"How many {of.thing} with {who}", f"How many {who}"]
    for asked in asks:
        proposal = plan(asked)
        if not isinstance(proposal, Proposal) or proposal.unexplained:
            continue
        tree = sqlglot.parse_one(proposal.sql, dialect=DIALECT)
        if not isinstance(tree, exp.Select) or not tree.args.get("where") or tree.args.get("group"):
            continue
        if tree.args.get("joins") or not _is_of(tree, of):
            continue
        inner = tree.select(_column(of, of.key if down else of.column), append=False)
        return _in(of, of.column if down else of.key, inner)
    return None


def _is_of(tree: exp.Select, of: Reference) -> bool:
    source = tree.find(exp.Table)
    return source is not None and source.name == of.entity.table and source.db == of.entity.schema


def _column(of: Reference, name: str, alias: str | None = None) -> exp.Expr:
    return exp.Column(this=identifier(name), table=identifier(alias or of.entity.table))


def _source(of: Reference, alias: str | None = None) -> exp.Table:
    named = exp.Table(this=identifier(of.entity.table), db=identifier(of.entity.schema))
    named.set("alias", exp.TableAlias(this=identifier(alias or of.entity.table)))
    return named


def _narrowed(clause: Clause, of: Reference, plan: Plan) -> Proposal | None:
    proposal = plan(clause.rest)
    condition = clause.condition(of, plan)
    if not isinstance(proposal, Proposal) or proposal.unexplained or condition is None:
        return None
    tree = sqlglot.parse_one(proposal.sql, dialect=DIALECT)
    if not isinstance(tree, exp.Select) or not _is_of(tree, of) or tree.args.get("limit"):
        return None
    if condition == exp.true():
        if not _with_other_row(tree, of):
            return None
    else:
        tree = tree.where(condition)
    return replace(proposal, sql=tree.sql(dialect=DIALECT), confident=proposal.confident and clause.sure)


def _with_other_row(tree: exp.Select, of: Reference) -> bool:
    """Put the other row's figure where the stand-in is; False where it isn't compared with a column."""
    for literal in list(tree.find_all(exp.Literal)):
        if literal.name not in (_FIGURE, _DATE):
            continue
        compared = literal.find_ancestor(exp.GT, exp.GTE, exp.LT, exp.LTE)
        if compared is None or not isinstance(compared.this, exp.Column):
            return False
        column = compared.this
        if column.table != of.entity.table or compared.find(exp.Interval):
            return False
        inner = exp.Select().select(_column(of, column.name, "other")).from_(_source(of, "other"))
        same = exp.EQ(this=_column(of, of.key, "other"), expression=_column(of, of.column))
        compared.set("expression", exp.Subquery(this=inner.where(same)))
        return True
    return False


def _beside(text: str, of: Reference, plan: Plan) -> Proposal | None:
    """`the name of each employee and the name of their manager`: those without one are left out, or not?"""
    pattern = (
        rf"^(?P<left>.+?),? (?:and|with|along with|together with) (?:(?:the|their|its|his|her) )*"
        rf"(?:(?P<what>[\w ]+?) of (?:(?:the|their|its|his|her|each) )*)?{of.noun}(?:'s? (?P<own>[\w ]+))?$"
    )
    found = re.match(pattern, text, re.IGNORECASE)
    if found is None:
        return None
    what = found["what"] or found["own"] or "name"
    parts = [plan(found["left"]), plan(f"What is the {what} of the {of.thing}")]
    trees = [
        sqlglot.parse_one(part.sql, dialect=DIALECT)
        for part in parts
        if isinstance(part, Proposal) and not part.unexplained
    ]
    selects = [tree for tree in trees if isinstance(tree, exp.Select) and _is_of(tree, of)]
    if len(selects) < 2 or any(tree.args.get("group") or tree.find(exp.AggFunc) for tree in selects):
        return None
    shown, other = selects
    if other.args.get("joins") or other.args.get("where"):
        return None
    outputs = [_column(of, item.name, "other") for item in other.selects]
    same = exp.EQ(this=_column(of, of.key, "other"), expression=_column(of, of.column))
    tree = shown.select(*outputs).join(_source(of, "other"), on=same)
    return Proposal(tree.sql(dialect=DIALECT), 0.9, False, ())


def _counted(text: str, of: Reference) -> Proposal | None:
    """`how many employees each manager has`, `the manager with the most employees`."""
    thing = rf"{re.escape(of.thing.rstrip('s'))}s?\b"
    each = rf"(?:each|every|per|by|for all) {of.noun}"
    most = (
        rf"{of.noun}[^,;]*? (?:the )?"
        rf"(?P<way>most|fewest|(?:largest|highest|lowest|smallest) number of) {thing}"
    )
    counting = re.search(r"\b(?:how many|number of|count)\b", text, re.IGNORECASE) is not None
    found = re.search(most, text, re.IGNORECASE)
    if found is None and not (counting and re.search(each, text, re.IGNORECASE)):
        return None
    key = _column(of, of.key, "other")
    names = [_column(of, name, "other") for name in of.entity.display] or [key]
    same = exp.EQ(this=_column(of, of.key, "other"), expression=_column(of, of.column))
    count: exp.Expr = exp.Count(this=exp.Star())
    tree = exp.Select().select(*names).from_(_source(of)).join(_source(of, "other"), on=same)
    tree = tree.group_by(*names, *([key] if key not in names else []))
    if found is None:
        tree = tree.select(count)
    else:
        least = found["way"].lower().split()[0] in ("fewest", "lowest", "smallest")
        tree = tree.order_by(exp.Ordered(this=count, desc=not least)).limit(1)
    return Proposal(tree.sql(dialect=DIALECT), 0.8, False, ())
