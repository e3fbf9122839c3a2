"""Whether a question wants more than an answer: a change of the data, or a statement of its own to run.

The guard and the role hold whatever is asked. This is for the reader: who asks for a deletion is told that
nothing is deleted, and is not shown the rows as if that had been the question.
"""

import re

from workers.catalogue.words import fold

# A clause begins where a sentence does or after words of asking; "and" alone also joins nouns.
_CLAUSE = (
    r"(?:^|[.,;:!?\])]\s*|\b(?:please|kindly|you to|you must|you should|(?:can|could|will|would) you|then|now"
    r"|afterwards|next|instead|just|and)\s+)(?:please\s+|kindly\s+|just\s+)?"
)
_WHAT = (
    r"(?:the|a|an|all|every|each|any|them|it|their|its|his|her|this|that|these|those|everything|yourself|me"
    r"|new|my|our)\b"
)
_CHANGE = re.compile(
    rf"{_CLAUSE}(?P<said>(?:delete|erase|wipe|purge|truncate|overwrite|rename|destroy|drop|insert|update|alter"
    r"|modify|remove|grant|revoke|set|add|change|replace|lock|unlock|disable|copy)"
    rf"\s+{_WHAT})"
)
_DESTROY = re.compile(
    r"(?:^|[.;:!?\])]\s*|\b(?:please|kindly|you to|you must|(?:can|could|will|would) you|then)\s+)"
    r"(?:please\s+)?(?P<said>(?:delete|erase|wipe|purge|truncate|overwrite|rename)\s+\w+)"
)
_MAKE = re.compile(
    rf"{_CLAUSE}(?P<said>create\s+(?:a\s+|an\s+|the\s+)?(?:new\s+)?(?:temporary\s+)?"
    r"(?:table|view|index|user|role|schema|database|function|trigger|sequence|extension)\b)"
)
_STATEMENT = re.compile(
    r"(?P<said>\bdelete\s+from\s+\w|\binsert\s+into\s+\w|\bupdate\s+\w+\s+set\b|\bunion\s+(?:all\s+)?select\b"
    r"|\b(?:drop|alter|truncate)\s+(?:table|schema|database|view|role|user|index)\b|\bselect\s+\*"
    r"|\bselect\s+\w+\s*\(|;\s*(?:select|drop|delete|insert|update|truncate|alter|grant|copy|set|commit)\b"
    r"|\bpg_(?:catalog|shadow|authid|roles|user|sleep|read|ls|stat|terminate|cancel|class|proc|settings)\w*"
    r"|\binformation_schema\b|\bset_config\b|\baf\.tenant\b|\brow[- ]level security\b|/etc/\w+"
    r"|'\s*or\s+'?1'?\s*=)"
)
_OTHER_ROLE = re.compile(
    r"(?P<said>\b(?:switch to|become|act as|you are now) (?:the |a |an )?(?:tenant|role|user|superuser|owner"
    r"|database|administrator|admin)\b|\b(?:ignore|disregard|forget) (?:all |any |the |your )*(?:previous"
    r"|prior|above|rules?|instructions?|tenants?|filters?)\b)"
)


def refusal(question: str) -> str | None:
    """Why the question is not answered from the database; None: nothing speaks against it."""
    text = " ".join(fold(question).split())
    for pattern, reason in (
        (_STATEMENT, "The question holds SQL or names of the server's own ({}); ask in plain words."),
        (_CHANGE, "Answers only read: nothing in the database is changed ({})."),
        (_DESTROY, "Answers only read: nothing in the database is changed ({})."),
        (_MAKE, "Answers only read: nothing in the database is changed ({})."),
        (_OTHER_ROLE, "Who asks, and what that tenant may see, is not changed by a question ({})."),
    ):
        found = pattern.search(text)
        if found is not None:
            return reason.format(f'"{found["said"].strip()}"')
    return None
