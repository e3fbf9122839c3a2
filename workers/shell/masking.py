"""Secrets and personal data by rule: each match gives way to a word in brackets that says what it was."""

import re
from collections import Counter
from collections.abc import Callable, Collection
from typing import Literal, get_args

Rule = Literal["secrets", "iban", "card", "email", "phone"]
RULES: tuple[Rule, ...] = get_args(Rule)
"""In the order in which they are held against a text: a secret may hold an e-mail address, a card's number
looks like a telephone's."""

_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[^-]|-(?!----)){0,20000}(?:-----END [A-Z ]{0,40}-----|\Z)",
    re.S,
)
_TOKEN = re.compile(
    r"""\b(?:
      (?:AKIA|ASIA)[0-9A-Z]{16}
    | gh[pousr]_[A-Za-z0-9]{20,255} | github_pat_\w{20,255} | glpat-[\w-]{16,255}
    | xox[abeoprs]-[A-Za-z0-9-]{10,255} | xapp-[A-Za-z0-9-]{10,255}
    | (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,255} | sk-[A-Za-z0-9_-]{20,255}
    | AIza[\w-]{35} | ya29\.[\w-]{20,500} | ATATT[\w=-]{20,500} | npm_[A-Za-z0-9]{30,255}
    | pypi-[\w-]{30,500} | hf_[A-Za-z0-9]{20,255} | SG\.[\w-]{16,64}\.[\w-]{16,128} | dop_v1_[0-9a-f]{40,80}
    | eyJ[\w-]{8,4000}\.[\w-]{8,8000}\.[\w-]{0,4000}
    )""",
    re.VERBOSE,
)
_AUTHORIZATION = re.compile(r"\b((?:Bearer|Basic|Token)[ \t]+)[A-Za-z0-9+/._~-]{12,4000}=*")
_USER_INFO = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^\s/@:]{0,200}:[^\s/@]{1,200}@", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"""(\b(?:[A-Za-z0-9]{1,30}[_.-]){0,4}
        (?:pass(?:word|wd|phrase)|pwd|secret|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?token|token
          |client[_-]?secret|passwort|kennwort)
        (?:["'`*]{0,3}[ \t]{0,4}(?::=|=>|[:=])[ \t]{0,4}|[ \t]+(?:is|ist)[ \t]+)["'`]{0,2})
        (?!\[|\$\{|<|\*{3}|null\b|none\b|true\b|false\b|not\b|wrong\b|invalid\b|required\b|expired\b)
        [^\s"'`,;)\]}|]{4,500}""",
    re.VERBOSE | re.IGNORECASE,
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]){11,30}\b")
_CARD = re.compile(r"(?<![\w./+-])[2-6]\d{3}(?:[ -]?\d){8,15}(?![\w-]|\.\d)")
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_PHONE = re.compile(
    r"""(?<![\w./:+=&#-])(?:
      (?:\+|00)[1-9]\d{0,2}(?:[ .()/-]{0,3}\d){6,12}
    | \(?[2-9]\d{2}\)?[ .-]{1,2}\d{3}[ .-]\d{4}
    | \(0\d{1,5}\)[ /-]{0,2}\d(?:[ /-]?\d){4,9}
    | 0\d{1,4}[ /-]{1,3}\d(?:[ /-]?\d){4,9}
    )(?![\w-]|\.\d|:\d)""",
    re.VERBOSE,
)
_IBAN_LENGTHS = range(15, 35)


def masked(text: str, rules: Collection[Rule]) -> tuple[str, Counter[str]]:
    """The text without what the rules find, and how often each found something."""
    counts: Counter[str] = Counter()
    for rule in RULES:
        if rule in rules:
            text, counts[rule] = _MASKS[rule](text)
    return text, +counts


def _secrets(text: str) -> tuple[str, int]:
    total = 0
    for pattern, put in (
        (_KEY_BLOCK, "[secret]"),
        (_USER_INFO, r"\1[secret]@"),
        (_TOKEN, "[secret]"),
        (_AUTHORIZATION, r"\1[secret]"),
        (_ASSIGNED, r"\1[secret]"),
    ):
        text, found = pattern.subn(put, text)
        total += found
    return text, total


def _checked(
    pattern: re.Pattern[str], put: str, holds: Callable[[str], bool]
) -> Callable[[str], tuple[str, int]]:
    def mask(text: str) -> tuple[str, int]:
        found = 0

        def replace(match: re.Match[str]) -> str:
            nonlocal found
            if not holds(match[0]):
                return match[0]
            found += 1
            return put

        return pattern.sub(replace, text), found

    return mask


def _mask_iban(text: str) -> tuple[str, int]:
    """The pattern may run into the words behind the number: the longest part that adds up is taken."""
    found = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal found
        for end in range(len(match[0]), 14, -1):
            if is_iban(match[0][:end]):
                found += 1
                return "[iban]" + match[0][end:]
        return match[0]

    return _IBAN.sub(replace, text), found


def is_iban(text: str) -> bool:
    """ISO 13616: moved to the end and letters as numbers, the whole leaves 1 when divided by 97."""
    compact = text.replace(" ", "")
    if len(compact) not in _IBAN_LENGTHS or text != text.strip() or not compact.isascii():
        return False
    return int("".join(str(int(sign, 36)) for sign in compact[4:] + compact[:4])) % 97 == 1


def is_card(text: str) -> bool:
    """ISO/IEC 7812: 13 to 19 digits whose last one is Luhn's."""
    digits = [int(sign) for sign in text if sign.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_phone(text: str) -> bool:
    return 7 <= sum(sign.isdecimal() for sign in text) <= 15


_MASKS: dict[Rule, Callable[[str], tuple[str, int]]] = {
    "secrets": _secrets,
    "iban": _mask_iban,
    "card": _checked(_CARD, "[card]", is_card),
    "email": _checked(_EMAIL, "[email]", lambda _: True),
    "phone": _checked(_PHONE, "[phone]", _is_phone),
}
