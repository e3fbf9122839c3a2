"""Replies that need neither evidence nor an engine."""

import re

_GREETING = re.compile(r"\b(hi|hello|hey|hiya|good (morning|afternoon|evening|day)|greetings|howdy)\b", re.I)
_THANKS = re.compile(r"\b(thanks|thank you|thx|cheers|much appreciated)\b", re.I)
_FAREWELL = re.compile(r"\b(bye|goodbye|see you|good night)\b", re.I)
_ABILITY = re.compile(
    r"\b(what (can|do) you do|who are you|what are you|how do you work|help me|your name"
    r"|what can i ask|are you (a|an) (bot|robot|ai|human))\b|^\W*help\W*$",
    re.I,
)
_FEELING = re.compile(r"\bhow (are|is) (you|it going|things)\b|\bwhat'?s up\b", re.I)

ABILITY = (
    "I answer questions from the documents that were ingested and from the connected database, "
    "and I cite where each answer comes from."
)
OUT_OF_SCOPE = (
    "I can't help with that: I answer only what the ingested documents or the connected database hold."
)


def direct_reply(question: str) -> tuple[str, bool]:
    """The reply, and whether it answers what was asked."""
    if _ABILITY.search(question):
        return ABILITY, True
    if _THANKS.search(question):
        return "You are welcome.", True
    if _FAREWELL.search(question):
        return "Goodbye.", True
    if _FEELING.search(question) or _GREETING.search(question):
        return f"Hello. {ABILITY}", True
    return OUT_OF_SCOPE, False
