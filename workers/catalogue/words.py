"""How words of a question and words of a schema are made comparable."""

import re
import unicodedata
from functools import lru_cache


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOP_WORDS = word_set(
    """a an the of for in on at to from by with and or is are was were be been being do does did has have
    had having what which who whom whose when where how why that this these those there their its it he
    she they them his her i we you our my your me us show list give find display return get tell provide
    state please can could would will all any each every per some many much number count total as than
    then also if into about between both not no corresponding respective respectively database records
    record data out up so such s t"""
)

_SHORT_FORMS = """
    qty:quantity amt:amount num:number nbr:number desc:description addr:address pct:percentage
    dept:department emp:employee cust:customer dob:birth_date dt:date yr:year mgr:manager
    org:organization avg:average cnt:count tel:phone cat:category prod:product acct:account
    txn:transaction tx:transaction crtd:created ts:timestamp loc:location lang:language img:image
    msg:message min:minimum max:maximum
    fname:first_name lname:last_name perc:percentage sal:salary ctry:country cntry:country mth:month
    univ:university govt:government intl:international natl:national prev:previous lat:latitude
    lng:longitude ref:reference seq:sequence tot:total pymt:payment pmt:payment mkt:market bal:balance
    src:source dest:destination freq:frequency mfr:manufacturer wt:weight"""
ABBREVIATIONS = {
    short: long.replace("_", " ") for short, _, long in (pair.partition(":") for pair in _SHORT_FORMS.split())
}

# Words that people use for one another; each of a line stands for the others where a schema has only those.
_MEANINGS = """
    duration length runtime millisecond second minute
    price cost
    salary wage income pay earning
    customer client buyer
    employee staff worker
    phone telephone
    country nation
    city town
    organization organisation institution company
    product item good
    vendor supplier
    gender sex
    revenue turnover
    signup registration
    movie film
    shop store
    visitor guest
    car vehicle
    student pupil
    teacher instructor
    doctor physician
    paper publication article
    complaint complain
    zip postal"""
RELATED_WORDS = {
    word: tuple(other for other in line.split() if other != word)
    for line in _MEANINGS.strip().splitlines()
    for word in line.split()
}

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
# Questions of one database say the same words again and again.
_REMEMBERED = 8_192
_KEEP_S = ("ss", "us", "is", "ics", "series", "species", "news")


@lru_cache(maxsize=_REMEMBERED)
def split_identifier(name: str) -> tuple[str, ...]:
    """`customerTypeCode`, `customer_type_code` -> customer, type, code; known abbreviations spelled out."""
    spaced = _CAMEL.sub(" ", name)
    found = [word.lower() for word in _WORD.findall(spaced)]
    return tuple(part for word in found for part in ABBREVIATIONS.get(word, word).split())


@lru_cache(maxsize=_REMEMBERED)
def stem(word: str) -> str:
    """Singular of a regular English plural, in lower case; other words unchanged."""
    lower = word.lower()
    if len(lower) <= 3 or lower.endswith(_KEEP_S):
        return lower
    if lower.endswith("ies"):
        return lower[:-3] + "y" if len(lower) > 4 else lower[:-1]
    if lower.endswith(("sses", "ches", "shes", "xes", "zzes")):
        return lower[:-2]
    if lower.endswith("ses") and lower[-4] in "aiou":
        return lower[:-2] if lower.endswith(("uses", "ises")) and len(lower) <= 7 else lower[:-1]
    return lower[:-1] if lower.endswith("s") else lower


@lru_cache(maxsize=_REMEMBERED)
def root(word: str) -> str:
    """A looser form that joins verb and noun: hired, hiring, hire -> hir; cancelled, cancel -> cancel."""
    base = stem(word)
    for ending in (
        "ations",
        "ation",
        "ments",
        "ment",
        "ings",
        "ing",
        "ers",
        "ed",
        "er",
        "or",
        "ion",
        "es",
        "e",
    ):
        if base.endswith(ending) and len(base) - len(ending) >= 3:
            base = base[: -len(ending)]
            break
    return base[:-1] if len(base) > 3 and base[-1] == base[-2] else base


def key_of(words: tuple[str, ...] | list[str]) -> str:
    """One string for a phrase, so that `birth date`, `birth_date` and `birthdate` meet."""
    return "".join(stem(word) for word in words)


@lru_cache(maxsize=_REMEMBERED)
def fold(value: str) -> str:
    """A value without case, accents and repeated spaces."""
    decomposed = unicodedata.normalize("NFKD", value)
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(plain.casefold().split())


def within_one_edit(a: str, b: str) -> bool:
    """One insertion, deletion, replacement or swap of neighbours apart."""
    if abs(len(a) - len(b)) > 1:
        return False
    first = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if len(a) == len(b):
        swapped = a[:first] + a[first + 1 : first + 2] + a[first : first + 1] + a[first + 2 :]
        return a[first + 1 :] == b[first + 1 :] or swapped == b
    longer, shorter = (a, b) if len(a) > len(b) else (b, a)
    return longer[first + 1 :] == shorter[first:]
