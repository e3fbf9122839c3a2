"""A question as words with their places, and the small words that hold an English sentence together."""

import re
import unicodedata
from typing import NamedTuple

from workers.catalogue.words import word_set

AUXILIARIES = word_set(
    """is are was were am be been do does did can could will would shall should may might must has have had
    isnt arent wasnt werent dont doesnt didnt cant couldnt wont wouldnt shouldnt hasnt havent"""
)
COPULAS = word_set("is are was were")
QUESTION_WORDS = word_set("what which who whom whose when where why how")
IMPERATIVES = word_set(
    """list show give tell find name display count get return explain describe summarize summarise compare
    calculate compute identify print fetch retrieve select sort order rank translate write draft please"""
)
DETERMINERS = word_set("the a an my our your this that these those any each every some no all")
PREPOSITIONS = word_set(
    """in on at for from to of with without by about over under above below between among during since until
    before after within inside outside near per across against into through via than as towards toward
    including excluding except like beyond behind beneath up"""
)
CONJUNCTIONS = word_set("and or but if when while because although unless that which who whose where so then")
PERSONS = word_set("i we you one he she they people someone somebody anyone it")
ADVERBS = word_set(
    """also too instead still already ever never only just now then there here often usually always currently
    actually really again else more most less least very much not together please"""
)
# Verbs that often follow a subject in a question; a noun phrase ends before them.
VERBS = word_set(
    """work cost take last expire end start begin stop include cover contain support need require apply use
    mean do go come get give make pay charge ship deliver arrive open close return cancel order buy sell offer
    provide handle allow let accept refuse reject send receive store keep hold save delete remove add create
    change update edit set reset run call belong live stay work have own lead manage report earn spend cause
    differ compare happen occur look show tell say know think want like affect impact increase decrease
    grow fall rise drop win lose play study teach learn write read sign join leave move depend protect prevent
    replace generate produce process treat serve measure calculate determine limit exist appear"""
)
# Other forms of verbs, as far as they are no nouns as well.
VERB_FORMS = word_set(
    """won lost made took gave got went came sold bought sent kept held ran wrote drew grew fell rose led met
    paid said told left began broke spoke taught built spent sang swam flew became saw knew wore chose drove
    contains includes covers requires applies means goes comes gets gives makes pays sells provides handles
    allows lets accepts refuses receives keeps holds deletes removes adds creates edits belongs lives stays
    owns earns spends causes differs happens occurs takes lasts expires begins becomes
    sings writes reads
    teaches treats wins loses supports manages works starts ends costs flies serves produces"""
)
PARTICLES = word_set("up out off on in down away over back")
# What somebody asks of a thing, and that is no thing itself.
ATTRIBUTES = word_set(
    """status state population size height area price cost age weight name number color colour length width
    value balance date location address meaning purpose capacity version type owner author birthday salary"""
)
ADJECTIVES = word_set(
    """free open closed possible necessary allowed safe hard easy difficult good bad better worse best worst
    cheap expensive high low large small big long short new old late early ready full empty active inactive
    valid public private true false mandatory optional legal located based due worth eligible subject
    responsible different similar equal"""
)

_WORD = re.compile(r"[^\W_][\w'\u2019&/+.@%-]*[\w%+]|[^\W_]|[$\u20ac\u00a3]\d[\d,.]*")


class Word(NamedTuple):
    """`plain` is without case, accents and apostrophes; `start` and `end` are offsets."""

    text: str
    plain: str
    start: int
    end: int

    @property
    def capital(self) -> bool:
        return self.text[0].isupper()


def words_of(text: str) -> list[Word]:
    return [Word(m.group(), plain(m.group()), m.start(), m.end()) for m in _WORD.finditer(text)]


def plain(text: str) -> str:
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text.replace("\u2019", "'"))
        text = "".join(char for char in decomposed if not unicodedata.combining(char))
    return text.replace("'", "").lower()


_DEGREES = ("most", "least")


def ends_phrase(word: Word, before: Word | None = None) -> bool:
    """Whether a noun phrase can't go on with this word."""
    found = word.plain
    if found in _DEGREES or (before is not None and before.plain in _DEGREES):
        return False
    if found in AUXILIARIES or found in PREPOSITIONS or found in CONJUNCTIONS or found in ADVERBS:
        return True
    if before is None or before.plain in DETERMINERS:
        return False
    return found in VERBS or found in VERB_FORMS or found in ADJECTIVES or is_describing(found)


def is_describing(word: str) -> bool:
    """By its ending: `available`, `included`, `running`."""
    if word.endswith("ed"):
        return len(word) > 4 and not word.endswith("eed")
    return len(word) > 5 and word.endswith(("able", "ible", "ing"))


def stripped(question: str) -> str:
    """Without the marks at the end, with single spaces."""
    return " ".join(question.split()).rstrip(" ?.!,;:\u2026")


def sentence(text: str) -> str:
    """With a capital, and a question mark where it asks."""
    text = stripped(text)
    mark = "" if plain(text.split(" ", 1)[0]) in IMPERATIVES else "?"
    return f"{text[:1].upper()}{text[1:]}{mark}" if text else ""


def lowered(text: str) -> str:
    """With a small first letter, unless the first word is a name or an abbreviation."""
    first = text.split(" ", 1)[0]
    known = plain(first) in _OPENERS
    return text[:1].lower() + text[1:] if known else text


_OPENERS = AUXILIARIES | QUESTION_WORDS | IMPERATIVES | DETERMINERS | PREPOSITIONS | PERSONS
