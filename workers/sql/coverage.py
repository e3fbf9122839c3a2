"""How much of a question a plan covers, and which words it has no place for."""

from dataclasses import dataclass
from itertools import pairwise

from workers.catalogue.words import STOP_WORDS, root, split_identifier, word_set
from workers.sql.reading import SOFT_WORDS, Mention, Reading
from workers.sql.resolution import ColumnRef, Resolver

# Words that change what is asked: a plan that has no place for one of them is not to be trusted.
MEANINGFUL = word_set(
    """than same more less fewer not no never without except excluding before after between average mean
    total sum most least both ratio difference percentage percent proportion share fraction rank median
    other another until since nor neither maximum minimum highest lowest largest smallest longest
    shortest oldest youngest latest earliest recent"""
)


@dataclass(frozen=True)
class Coverage:
    """Looks at a reading after all its words have been given their places.

    `joined_by` are roots of the names of the references that the plan joins by.
    """

    reading: Reading
    resolver: Resolver
    joined_by: frozenset[str]

    def unexplained(self) -> list[str]:
        names = {root(w) for e in self._used_entities() for w in self._words_of(e)}
        missing = []
        for position, token in enumerate(self.reading.tokens):
            if position in self.reading.explained or token.kind == "symbol":
                continue
            mention = self.reading.at(position)
            keyed = mention is not None and mention.weak and self._is_reference(mention)
            if token.lower in MEANINGFUL or (keyed and token.root not in self.joined_by):
                missing.append(token.text)
                continue
            if token.kind == "word" and (
                token.lower in STOP_WORDS or token.lower in SOFT_WORDS or token.root in names
            ):
                continue
            missing.append(token.text)
        return missing

    def _is_reference(self, mention: Mention) -> bool:
        targets = mention.of("column")
        columns = [self.resolver.column(ColumnRef(t.entity, t.column or "")) for t in targets]
        return bool(columns) and all(column.role == "id" for column in columns)

    def _used_entities(self) -> set[str]:
        used = set(self.resolver.mentioned())
        return used | ({self.resolver.focus} if self.resolver.focus else set())

    def _words_of(self, key: str) -> list[str]:
        entity = self.resolver.entity(key)
        names = [entity.table, *(column.name for column in entity.visible)]
        return [word for name in names for word in split_identifier(name)]

    def share(self, unexplained: list[str]) -> float:
        hard = self._hard_words()
        weight = sum(3.0 if word in hard else 1.0 for word in unexplained)
        content = sum(1 for t in self.reading.tokens if t.kind != "symbol" and t.lower not in STOP_WORDS)
        return max(0.0, 1.0 - weight / max(4, content))

    def _hard_words(self) -> set[str]:
        """Words that change the answer: numbers, quotations, comparisons, and names, by their capital."""
        tokens = self.reading.tokens
        literal = {t.text for t in tokens if t.kind in ("number", "quoted", "date") or t.lower in MEANINGFUL}
        return literal | {
            token.text
            for previous, token in pairwise(tokens)
            if token.kind == "word" and token.text[0].isupper() and previous.text not in (".", "?", "!")
        }
