"""The content words of questions and of the sentences of passages, made comparable."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from workers.catalogue.words import root
from workers.vectors.stop_words import STOP_WORDS

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|[\u3002\uff01\uff1f]|\n+")
_WORD = re.compile(r"\w+")
_NO_SPACES = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def content_words(text: str) -> list[str]:
    """In lower case and cut to a root, without words that say nothing about a subject."""
    return [word for token in _WORD.findall(text.lower()) for word in _comparable(token)]


# Passages that many questions find are read once; 2,048 of usual length take about 25 MB.
@lru_cache(maxsize=2_048)
def sentences_with(text: str) -> Mapping[str, Sequence[int]]:
    """The numbers of the sentences that hold a word, for each content word of the text."""
    found: dict[str, list[int]] = {}
    for number, sentence in enumerate(_SENTENCE_END.split(text.lower())):
        for token in dict.fromkeys(_WORD.findall(sentence)):
            for word in _comparable(token):
                found.setdefault(word, []).append(number)
    return found


@lru_cache(maxsize=32_768)
def _comparable(token: str) -> tuple[str, ...]:
    if token in STOP_WORDS:
        return ()
    if _NO_SPACES.search(token):
        return tuple(token[at : at + 2] for at in range(max(1, len(token) - 1)))
    return (root(token),)
