"""The text of a question as numbers.

Letter case, punctuation, accents and repeated spaces are gone before anything is counted, and no length
enters: how a question is typed must not decide where it goes.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt
import yaml

from workers.catalogue.words import STOP_WORDS

FEATURE_VERSION = 1
WORD_BUCKETS = 1 << 15
CHAR_BUCKETS = 1 << 16
SKELETON_BUCKETS = 1 << 15
MAX_WORDS = 64
"""Words after this one are not looked at: a pasted log would cost much and say little."""

_APOSTROPHES = re.compile(r"['\u2018\u2019`\u00b4]")
_WORD = re.compile(r"[^\W_]+")
_GRAM_SIZES = (2, 3, 4, 5)


def _groups(section: str) -> dict[str, frozenset[str]]:
    raw = yaml.safe_load(Path(__file__).with_name("forms.yaml").read_text(encoding="utf-8"))
    return {name: frozenset(found) for name, found in raw[section].items()}


OPENINGS = _groups("openings")
PHRASES = _groups("phrases")
_SKELETON_START = WORD_BUCKETS + CHAR_BUCKETS
_SUBJECT_PHRASES = ("chores", "policy", "configuration", "place_person", "calendar", "arithmetic", "help")
_SENTENCE_WORDS = frozenset(
    [
        *STOP_WORDS,
        *(word for group in OPENINGS.values() for word in group),
        *(
            word
            for name, group in PHRASES.items()
            if name not in _SUBJECT_PHRASES
            for phrase in group
            for word in phrase.split()
        ),
    ]
)
_ENDINGS = ("ing", "ed", "ly", "s")
FORM_NAMES: tuple[str, ...] = (*OPENINGS, *PHRASES, "number", "year", "code_word")


def words(question: str) -> tuple[str, ...]:
    """The words of a question without case, accents and punctuation; at most `MAX_WORDS`."""
    decomposed = unicodedata.normalize("NFKD", question[: MAX_WORDS * 16])
    plain = "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()
    return tuple(_WORD.findall(_APOSTROPHES.sub("", plain))[:MAX_WORDS])


def form(found: Sequence[str]) -> list[float]:
    """Sentence form as 0 or 1, in the order of `FORM_NAMES`."""
    grams = {*found, *_joined(found, 2), *_joined(found, 3)}
    first = _first_word(found)
    numbers = [word for word in found if word[0].isdigit()]
    return [
        *(float(first in group) for group in OPENINGS.values()),
        *(float(not group.isdisjoint(grams)) for group in PHRASES.values()),
        float(bool(numbers)),
        float(any(len(word) == 4 and word.isdigit() and word[:2] in ("18", "19", "20") for word in numbers)),
        float(any(any(c.isdigit() for c in w) and any(c.isalpha() for c in w) for w in found)),
    ]


def hashed(found: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Buckets and dampened counts of word groups (1 to 3), letter groups (2 to 5), skeleton groups (1 to 5).

    Word groups lie in `0..WORD_BUCKETS`, letter groups follow, then those of the skeleton. Letters make a
    typing error cost little; the skeleton, in which words of a subject are only marked, carries over to other
    subjects.
    """
    shown = ["0" * min(len(word), 4) if word.isdigit() else word for word in found]
    spoken = [*shown, *_joined(shown, 2), *_joined(shown, 3), *(["^ " + shown[0]] if shown else [])]
    found_in = [crc32(gram.encode()) % WORD_BUCKETS for gram in spoken]
    for word in shown:
        found_in += _letter_buckets(word)
    bones = ["^", *skeleton(found), "$"]
    for size in range(1, 6):
        found_in += [
            _SKELETON_START + crc32(gram.encode()) % SKELETON_BUCKETS for gram in _joined(bones, size)
        ]
    buckets, counts = np.unique(np.array(found_in, dtype=np.int64), return_counts=True)
    return buckets, 1.0 + np.log(counts)


@lru_cache(maxsize=2_048)
def _letter_buckets(word: str) -> tuple[int, ...]:
    """Questions share most of their words."""
    padded = f" {word} "
    return tuple(
        WORD_BUCKETS + crc32(padded[start : start + size].encode()) % CHAR_BUCKETS
        for size in _GRAM_SIZES
        for start in range(len(padded) - size + 1)
    )


def skeleton(found: Sequence[str]) -> list[str]:
    """The words that make the sentence; those of its subject become marks that keep only their ending."""
    return [word if word in _SENTENCE_WORDS else _mark(word) for word in found]


def _mark(word: str) -> str:
    if word[0].isdigit():
        return f"#{min(len(word), 4)}"
    return next((f"*{ending}" for ending in _ENDINGS if len(word) > 4 and word.endswith(ending)), "*")


def _joined(found: Sequence[str], size: int) -> list[str]:
    return [" ".join(found[start : start + size]) for start in range(len(found) - size + 1)]


def _first_word(found: Sequence[str]) -> str:
    """The first word that says what sort of sentence it is."""
    return next((word for word in found if word not in ("please", "so", "and", "but", "ok", "then")), "")
