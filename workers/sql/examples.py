"""Verified queries: what makes two questions the same one, and which are worth showing to a model."""

from workers.catalogue.model import SemanticModel, VerifiedQuery
from workers.catalogue.tokens import Token, tokenise
from workers.catalogue.words import root, split_identifier, word_set

MAX_EXAMPLES = 3
# With or without these a question is the same one. None of them counts, compares, negates or relates.
_FILLERS = word_set("please kindly the a an our my your is are")
_OPENING = _FILLERS | word_set(
    """can could would you me us i we want need like to know tell show give list display find get return
    retrieve what which hi hello all"""
)


def content(question: str) -> tuple[Token, ...]:
    """The tokens that make the question, in order."""
    tokens = [token for token in tokenise(question) if token.kind != "symbol"]
    start = next((at for at, token in enumerate(tokens) if token.lower not in _OPENING), len(tokens))
    return tuple(token for token in tokens[start:] if token.lower not in _FILLERS)


def roots_of(tokens: tuple[Token, ...]) -> tuple[str, ...]:
    """What makes two tokens the same: the root of a word, the text of a literal."""
    return tuple(spelled for token in tokens for spelled in _spelled(token))


def _spelled(token: Token) -> tuple[str, ...]:
    if token.kind != "word":
        return (token.lower,)
    return tuple(root(part) for part in split_identifier(token.text)) or (token.lower,)


def similar_examples(question: str, model: SemanticModel) -> list[VerifiedQuery]:
    """Those that share the most words with the question, best last: next to it."""
    asked = set(roots_of(content(question)))
    scored = [(_likeness(asked, query), query) for query in model.verified]
    best = sorted(scored, key=lambda item: -item[0])[:MAX_EXAMPLES]
    return [query for _, query in reversed(best)]


def _likeness(asked: set[str], query: VerifiedQuery) -> float:
    others = (set(roots_of(content(question))) for question in query.questions)
    return max(len(asked & other) / max(1, len(asked | other)) for other in others)
