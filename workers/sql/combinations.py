"""Questions whose statement is made from simpler ones, where their own words found no place in a plan.

What two tables have in common or one has alone, the difference of two extremes, counts of zero, and people
that a column counts.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import sqlglot
from sqlglot import exp

from workers.sql.proposal import NoProposal, Proposal

DIALECT = "postgres"
Plan = Callable[[str], Proposal | NoProposal]

_SHARED = r"(?:used|shared|common|found|appear\w*|occur\w*|present|exist\w*|listed|held|had)"
_HAPPENS = rf"(?: (?:that|which))?(?: (?:are|is))? {_SHARED} (?:for|by|in|to|among|between|as)"
_BOTH = re.compile(
    rf"^(?P<what>.+?){_HAPPENS} both (?:the )?(?P<one>\w+) and (?:the )?(?P<other>\w+)(?: tables?)?$",
    re.IGNORECASE,
)
_ALONE = re.compile(
    rf"^(?P<what>.+?){_HAPPENS} (?:the )?(?P<one>\w+),? (?:but|and) (?:are |is )?not"
    r" (?:used |found |shared )?(?:(?:for|by|in|to|among|as) )?(?:the )?(?P<other>\w+)(?: tables?)?$",
    re.IGNORECASE,
)
_DIFFERENCE = re.compile(
    r"^.*?\b(?:difference|gap) between (?:the )?(?P<one>\w+) and (?:the )?(?P<other>\w+) (?P<rest>.+)$",
    re.IGNORECASE,
)
_EMPTY = re.compile(
    r",? (?:and )?(?:including|include|even)(?: also)?(?: for)? [^,?.]*?"
    r"\b(?:without|with no|with zero|having no|that have no|who have no|(?:that|who) (?:do|did) not)\b"
    r"[^,?.]*",
    re.IGNORECASE,
)
_PEOPLE = re.compile(
    r"^how many (?:people|inhabitants|residents|persons) (?:live|reside|are living|are there)"
    r" (?P<where>in .+)$",
    re.IGNORECASE,
)
_POPULATION = re.compile(r"population|inhabitants|residents", re.IGNORECASE)


def plan_combined(question: str, plan: Plan) -> Proposal | None:
    """The statement of such a question; None where it is none, or a part can't be planned."""
    text = " ".join(question.split()).rstrip("?. ")
    for made in (_two_tables, _difference, _with_empty, _people):
        proposal = made(text, plan)
        if proposal is not None:
            return proposal
    return None


def _select(planned: Proposal | NoProposal) -> exp.Select | None:
    if not isinstance(planned, Proposal) or planned.unexplained:
        return None
    tree = sqlglot.parse_one(planned.sql, dialect=DIALECT)
    return tree if isinstance(tree, exp.Select) else None


def _two_tables(text: str, plan: Plan) -> Proposal | None:
    """`the first names that are used for vets but not for keepers`."""
    found = _ALONE.match(text) or _BOTH.match(text)
    if found is None:
        return None
    what = re.sub(r"^(?:which|what)(?: (?:are|is))?(?: the)? ", "", found["what"], flags=re.IGNORECASE)
    parts = [plan(f"What are the {what} of the {found[name]}") for name in ("one", "other")]
    one, other = (_select(part) for part in parts)
    if one is None or other is None:
        return None
    columns = [[item.alias_or_name for item in tree.selects] for tree in (one, other)]
    tables = [[item.sql(dialect=DIALECT) for item in tree.find_all(exp.Table)] for tree in (one, other)]
    if columns[0] != columns[1] or any(len(named) != 1 for named in tables) or tables[0] == tables[1]:
        return None
    combine = exp.except_ if found.re is _ALONE else exp.intersect
    sure = all(isinstance(part, Proposal) and part.confident for part in parts)
    return Proposal(combine(one, other).sql(dialect=DIALECT), 1.0, sure, ())


def _difference(text: str, plan: Plan) -> Proposal | None:
    """`the difference between the highest and the lowest price`."""
    found = _DIFFERENCE.match(text)
    if found is None:
        return None
    planned = plan(f"What are the {found['one']} and the {found['other']} {found['rest']}")
    tree = _select(planned)
    if tree is None or not isinstance(planned, Proposal) or len(tree.selects) != 2 or tree.args.get("group"):
        return None
    ends = [item.unalias() for item in tree.selects]
    most = next((end for end in ends if isinstance(end, exp.Max)), None)
    least = next((end for end in ends if isinstance(end, exp.Min)), None)
    if most is None or least is None or most.this != least.this:
        return None
    tree.set("expressions", [exp.alias_(exp.Sub(this=most, expression=least), "difference")])
    return replace(planned, sql=tree.sql(dialect=DIALECT))


def _with_empty(text: str, plan: Plan) -> Proposal | None:
    """`the number of bikes at each station, including stations without bikes`: also counts of zero."""
    found = _EMPTY.search(text)
    if found is None:
        return None
    planned = plan(text[: found.start()] + text[found.end() :])
    tree = _select(planned)
    joins = tree.args.get("joins") if tree is not None else None
    group = tree.args.get("group") if tree is not None else None
    if tree is None or not isinstance(planned, Proposal) or not joins or group is None:
        return None
    kept = {column.table for column in group.find_all(exp.Column)}
    if len(joins) != 1 or len(kept) != 1 or tree.args.get("where") or tree.args.get("having"):
        return None
    first, joined = tree.args["from_"].this, joins[0].this
    base, other = (first, joined) if first.alias in kept else (joined, first)
    counted = next((c for c in joins[0].args["on"].find_all(exp.Column) if c.table == other.alias), None)
    counts = [item for item in tree.find_all(exp.AggFunc) if isinstance(item, exp.Count)]
    if base.alias not in kept or counted is None or not counts:
        return None
    for count in counts:
        if isinstance(count.this, exp.Star):
            count.set("this", counted.copy())
    tree.set("from_", exp.From(this=base.copy()))
    joins[0].set("this", other.copy())
    joins[0].set("side", "LEFT")
    return replace(planned, sql=tree.sql(dialect=DIALECT))


def _people(text: str, plan: Plan) -> Proposal | None:
    """`how many people live in ...` where no table holds people but a column counts them."""
    found = _PEOPLE.match(text)
    if found is None:
        return None
    planned = plan(f"What is the total population {found['where']}")
    tree = _select(planned)
    if tree is None or not isinstance(planned, Proposal) or len(tree.selects) != 1:
        return None
    total = tree.selects[0].unalias()
    if not isinstance(total, exp.Sum) or not _POPULATION.search(total.this.name):
        return None
    return replace(planned, sql=tree.sql(dialect=DIALECT))
