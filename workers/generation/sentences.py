"""Where sentences end."""

import re

from workers.catalogue.words import word_set

_ABBREVIATIONS = word_set(
    """al approx ca cf ch co col corp dept dr ed e.g eg est etc fig gen gov i.e ie inc jan feb mar apr jun jul
    aug sep sept oct nov dec jr lt ltd mr mrs ms mt no nos nr op pp prof rep rev sec sen sgt sr st vol
    vs z.b u.s u.k d.c a.m p.m"""
)
# What may follow the end mark (quotes, brackets, citations) and the white space behind it.
_END = re.compile(
    r"""[.!?\u2026]+["')\]\u201d\u2019]*(?:\s?\[\d{1,3}\])*(?=\s|\Z)|[\u3002\uff01\uff1f]+|\n"""
)
_LAST_WORD = re.compile(r"([^\s(\[\"']+)$")
_LIST_NUMBER = re.compile(r"(?:^|\n)\s*\d{1,3}$")


def is_end(before: str, mark: str) -> bool:
    """Whether `mark`, with white space behind it, ends the sentence that `before` begins."""
    if not mark.startswith(".") or mark.startswith(".."):
        return True
    if _LIST_NUMBER.search(before):
        return False
    word = _LAST_WORD.search(before)
    if word is None:
        return True
    last = word[1].lower()
    return last not in _ABBREVIATIONS and not (len(last) == 1 and word[1].isupper())


def first_end(text: str) -> int | None:
    """Where the first whole sentence ends, the white space behind it included; None: it is still open."""
    for match in _END.finditer(text):
        if match[0] != "\n" and not is_end(text[: match.start()], match[0]):
            continue
        if match[0] == "\n" or match.end() < len(text):
            return match.end() + len(text[match.end() :]) - len(text[match.end() :].lstrip())
    return None


def split(text: str) -> list[str]:
    """Sentences in order, without the white space between them; a line break ends one too."""
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        if match[0] != "\n" and not is_end(text[start : match.start()], match[0]):
            continue
        found.append(text[start : match.end()].strip())
        start = match.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]
