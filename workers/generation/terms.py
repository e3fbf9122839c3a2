"""Words that carry content, made comparable, and how much each tells."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Set
from functools import lru_cache
from itertools import chain

from workers.catalogue.words import fold, root, word_set

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|\w+")
_NO_SPACES = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_STOP = word_set(
    """a about above after again all also although am an and any are as at be became because been before being
    below between both but by can could did do does doing down during each either else ever every few
    for from further get give got had has have having he her here hers him his how however i if in into
    is it its itself just kind know let like list make many may me might more most much must my no nor
    not now of off often on once one only or other our out over own per please same say says shall she
    should show so some such tell than that the their them then there these they this those through to
    too type under until up upon us use used uses using very was we were what when where which while who
    whom whose why will with within without would yet you your"""
)
# Forms that no ending explains; all of a group are made the first.
_IRREGULAR = """
    go went gone|given gave|sell sold|win won|write wrote written|build built|begin began begun|teach taught
    lead led|hold held|keep kept|made making|become becoming|child children|man men|woman women|buy bought
    bring brought|think thought|catch caught|fight fought|find found|known knew|grow grew grown
    fall fell fallen|take took taken|speak spoke spoken|choose chose chosen|break broke broken
    drive drove driven|rise rose risen|lose lost loss|spend spent|send sent|meet met|pay paid|see saw seen
    sing sang sung|run ran|come came|leave left|feel felt|stand stood|understand understood|told telling
    wear wore worn|draw drew drawn|fly flew flown flight|throw threw thrown|shown showed|seek sought
    eat ate eaten|bear bore born birth|shoot shot|strike struck|sink sank sunk|die death dead|foot feet
    mouse mice|tooth teeth|strong strength|long length|high height|wide width|deep depth|sign signature"""
_FIRST_FORM = {
    form: group.split()[0]
    for line in _IRREGULAR.splitlines()
    for group in line.split("|")
    for form in group.split()
}
# Endings that make one part of speech of another, the longest that fits first.
_ENDINGS = tuple(
    sorted(
        word_set(
            """iveness ousness fulness ational ization isation ically ality ivity ability ibility ement icity
            ical ance ence ancy ency able ible ant ent ist ism ity ous ive ize ise yze ial ian ally ly al ic
            ia at ful ness y"""
        ),
        key=lambda ending: (-len(ending), ending),
    )
)
_MIN_STEM = 4
# Words by which a question says what kind of answer it wants: passages need not have them.
_GENERIC = """
    answer article call certain common define describe different document documentation example explain
    find first follow following form group happen help important include information issue kind known main
    mean mention method name new number part particular people person place point process provide question
    reason refer result role several term thing three time title two type way word work year amount according
    become come take see date day month city country"""
_GENERIC_WEIGHT = 0.4


def terms(text: str) -> list[str]:
    """Content words in order, folded and cut to a root; numbers without separators of thousands."""
    folded = text.lower() if text.isascii() else fold(text)
    return [term for token in _TOKEN.findall(folded) for term in _of_token(token)]


# Every passage of every question goes through here; a language's words repeat.
@lru_cache(maxsize=65_536)
def _of_token(token: str) -> tuple[str, ...]:
    if token[0].isdigit():
        return (token.replace(",", ""),)
    if _NO_SPACES.search(token):
        return tuple(token[at : at + 2] for at in range(max(1, len(token) - 1)))
    if token in _STOP:
        return ()
    return (_stem(token.split("'")[0].split("\u2019")[0]),)


def _stem(word: str) -> str:
    """septicemia, septicemic -> septicem; complexity, complex -> complex; wrote, written -> writ."""
    found = root(_FIRST_FORM.get(word, word))
    for _ in range(2):
        ending = next((e for e in _ENDINGS if found.endswith(e) and len(found) - len(e) >= _MIN_STEM), None)
        if ending is None:
            break
        found = found[: -len(ending)]
    return found


_GENERIC_TERMS = frozenset(terms(_GENERIC))


class Weights(dict[str, float]):
    """How rare a term is in the evidence: ln(1 + texts / texts with the term), as BM25 weighs words.

    A word that only says what kind of answer is wanted weighs less. A weight is worked out when it is first
    asked for: most words of the evidence never are.
    """

    def __init__(self, texts: Iterable[Set[str]]) -> None:
        super().__init__()
        sets = list(texts)
        self._frequency = Counter(chain.from_iterable(sets))
        self._texts = len(sets)

    def __missing__(self, term: str) -> float:
        rarity = math.log(1 + (self._texts + 1) / (self._frequency[term] + 1))
        weight = self[term] = rarity * _GENERIC_WEIGHT if term in _GENERIC_TERMS else rarity
        return weight

    def total(self, found: Iterable[str]) -> float:
        return math.fsum(map(self.__getitem__, found))
