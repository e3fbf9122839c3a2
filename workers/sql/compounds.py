"""Questions that are made of two: ratios, percentages, rows of one per row of another, lists of two tables.

Each part is a question that the planner answers alone; here their statements become one.
"""

import re
from collections.abc import Callable, Iterator

import sqlglot
from sqlglot import exp

from workers.sql.proposal import NoProposal, Proposal

DIALECT = "postgres"
Plan = Callable[[str], Proposal | NoProposal]

_RATIO = re.compile(
    r"^(?:.*?\b)?ratio (?:of|between) (?P<one>.+?) (?:to|and) (?P<other>[^,?.]+)[?.]?\s*$", re.IGNORECASE
)
# The word before keeps a column's name out: `the commission percentage of employees` is no share of them.
_SHARE = re.compile(
    r"^(?:(?:.*\b)?(?:the|what|which|a|many|is|was|show|give|find|calculate|compute|return) )?"
    r"(?P<kind>percentage|percent|per cent|proportion|share|fraction) of (?:all |the |our )*"
    r"(?P<whole>[^?.,]+?)[?.]?\s*$",
    re.IGNORECASE,
)
_PER = re.compile(
    r"^(?:.*?\b)?(?:average|mean) (?:number|count) of (?P<one>[\w -]+?)"
    r" (?:per|for each|by each|of each|for every) (?P<other>[\w -]+?)[?.]?\s*$",
    re.IGNORECASE,
)
_HOW_MANY_PER = re.compile(
    r"^how many (?P<one>[\w -]+?) (?:per|for each|for every) (?P<other>[\w -]+?)(?: are there| do we have)?"
    r",? on average[?.]?\s*$",
    re.IGNORECASE,
)
_LISTED = re.compile(
    r"^(?P<what>.+? (?:of|for) (?:all |the )*)(?P<one>\w+)(?: \w+)? and (?:all |of |the )*(?P<other>\w+)"
    r"(?P<rest>(?: members)?)[?.]?\s*$",
    re.IGNORECASE,
)
_GROUPED = re.compile(
    r"\b(?:each|every|by|per|change|differ|within|grouped|split|over the (?:years|months))\b", re.IGNORECASE
)
_SAYS = re.compile(
    r"\b(?:that|who|which|whose|are|is|was|were|has|have|had|did|do|does|live|lives|cost|costs|come|comes"
    r"|belong|belongs)\b",
    re.IGNORECASE,
)
_PLACES = re.compile(r"\b(?:from|in|with|without|over|above|below|under|placed|made|sold)\b", re.IGNORECASE)
_MEASURED = re.compile(r"^(?:the )?(?:average|mean|total|sum|maximum|minimum|number|count)\b", re.IGNORECASE)


def plan_compound(question: str, plan: Plan) -> Proposal | None:
    """The statement of a question of two parts; None where it is none, or a part can't be planned."""
    text = " ".join(question.split())
    for made in (_ratio, _share, _per, _listed):
        proposal = made(text, plan)
        if proposal is not None:
            return proposal
    return None


def _ratio(text: str, plan: Plan) -> Proposal | None:
    found = _RATIO.match(text)
    if found is None or _GROUPED.search(text):
        return None
    parts = [plan(_counted(found[name])) for name in ("one", "other")]
    return _divided(parts, hundredfold=False, name="ratio")


def _counted(thing: str) -> str:
    thing = thing.strip()
    return f"What is {thing}?" if _MEASURED.match(thing) else f"How many {thing.removeprefix('the ')}?"


def _share(text: str, plan: Plan) -> Proposal | None:
    """What is said of the things after the verb holds for the part; what stands before it, for the whole."""
    found = _SHARE.match(text)
    if found is None or _GROUPED.search(text):
        return None
    said = _SAYS.search(found["whole"]) or _PLACES.search(found["whole"])
    if said is None or said.start() == 0:
        return None
    whole = found["whole"][: said.start()].strip()
    parts = [plan(f"How many {found['whole']}?"), plan(f"How many {whole} are there?")]
    hundredfold = found["kind"].lower().startswith("per")
    return _divided(parts, hundredfold=hundredfold, name="percentage" if hundredfold else "share")


def _per(text: str, plan: Plan) -> Proposal | None:
    """Whether those without any count is not said: never with confidence."""
    found = _PER.match(text) or _HOW_MANY_PER.match(text)
    if found is None:
        return None
    parts = [plan(f"How many {found[name].strip()} are there?") for name in ("one", "other")]
    return _divided(parts, hundredfold=False, name="average", sure=False)


def _listed(text: str, plan: Plan) -> Proposal | None:
    """`the phone numbers of customers and staff`: the same columns of two tables, below each other."""
    found = _LISTED.match(text)
    if found is None or _GROUPED.search(text) or re.search(r"\b(?:how many|number of|both)\b", text.lower()):
        return None
    trees = list(_trees([plan(f"{found['what']}{found[name]}") for name in ("one", "other")]))
    if len(trees) < 2 or not all(confident for _, confident in trees):
        return None
    selects = [tree for tree, _ in trees]
    tables = [_tables(tree) for tree in selects]
    columns = [[item.alias_or_name for item in tree.selects] for tree in selects]
    if tables[0] & tables[1] or any(len(found) != 1 for found in tables) or columns[0] != columns[1]:
        return None
    union = exp.union(*selects, distinct=True)
    return Proposal(union.sql(dialect=DIALECT), 1.0, True, ())


def _tables(tree: exp.Expr) -> set[str]:
    return {table.sql(dialect=DIALECT) for table in tree.find_all(exp.Table)}


def _divided(
    parts: list[Proposal | NoProposal], *, hundredfold: bool, name: str, sure: bool = True
) -> Proposal | None:
    trees = [(tree, confident) for tree, confident in _trees(parts) if _is_one_number(tree)]
    if len(trees) < 2:
        return None
    above, below = (exp.Subquery(this=tree) for tree, _ in trees)
    number: exp.Expr = exp.Cast(this=above, to=exp.DataType.build("double precision", dialect=DIALECT))
    if hundredfold:
        number = exp.Mul(this=exp.Literal.number("100.0"), expression=number)
    below_or_null = exp.Nullif(this=below, expression=exp.Literal.number(0))
    share = exp.Div(this=number, expression=below_or_null, typed=True)
    select = exp.Select().select(exp.alias_(share, name))
    confident = sure and all(confident for _, confident in trees)
    planned = [part for part in parts if isinstance(part, Proposal)]
    unexplained = tuple(word for part in planned for word in part.unexplained)
    covered = min(part.confidence for part in planned)
    return Proposal(select.sql(dialect=DIALECT), covered, confident, unexplained)


def _trees(parts: list[Proposal | NoProposal]) -> Iterator[tuple[exp.Select, bool]]:
    for part in parts:
        if isinstance(part, Proposal):
            tree = sqlglot.parse_one(part.sql, dialect=DIALECT)
            if isinstance(tree, exp.Select):
                yield tree, part.confident


def _is_one_number(tree: exp.Select) -> bool:
    aggregate = tree.selects[0].find(exp.AggFunc) if len(tree.selects) == 1 else None
    return aggregate is not None and not tree.args.get("group") and not tree.args.get("limit")
