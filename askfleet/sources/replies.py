"""What a mail leaves in a ticket beside its message: signatures and the mails it answers."""

import re
from collections.abc import Sequence

_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_WROTE = re.compile(
    r"(?:>\s*)?(?:On\b.{4,300}\bwrote|Am\b.{4,300}\bschrieb\b.{0,200}|Le\b.{4,300}\ba \u00e9crit"
    r"|El\b.{4,300}\bescribi\u00f3"
    r"|Il\b.{4,300}\bha scritto|Op\b.{4,300}\bschreef\b.{0,200})\s?:\s*$",
    re.IGNORECASE,
)
_ORIGINAL = re.compile(
    r"[-_ \\]*(?:original message|urspr\u00fcngliche nachricht|message d'origine"
    r"|forwarded message|mensaje original)"
    r"[-_ ]*$",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"\**(?:from|sent|to|cc|date|subject|von|gesendet|an|datum|betreff|de|envoy\u00e9|\u00e0|objet)\**\s?:\**\s",
    re.IGNORECASE,
)
_REPLY_LINE = re.compile(
    r"\W{0,8}(?:please )?(?:type|write|reply)\b.{0,60}\babove this line\W{0,8}", re.IGNORECASE
)
_QUOTATION = re.compile(r"\s{0,3}\\?>")
_DASHES = re.compile(r"\\?--\s*$|\\?_{5,}\s*$")
_MOBILE = re.compile(
    r"(?:sent from my|sent from (?:mail|outlook|yahoo)|get outlook for|gesendet mit|von meinem \w+ gesendet|"
    r"envoy\u00e9 de mon|enviado desde mi|diese nachricht wurde von meinem)\b.{0,80}$",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:(?:best|kind|warm|many)(?: regards| wishes|est regards)?|regards"
    r"|sincerely(?: yours)?|yours (?:truly|faithfully"
    r"|sincerely)|cheers|many thanks"
    r"|mit freundlichen gr\u00fc\u00dfen|viele gr\u00fc\u00dfe|beste gr\u00fc\u00dfe|mfg"
    r"|cordialement|"
    r"bien \u00e0 vous|saludos(?: cordiales)?|atentamente)\s*[,.!]?\s*$",
    re.IGNORECASE,
)
_SIGNATURE_LINES = 12
_CLOSING_LINES = 8
_SIGNATURE_WIDTH = 80
_HEADERS_WANTED = 2
_HEADERS_WITHIN = 6


def without_quotes(markdown: str) -> str:
    """Quotation led by a line such as `On Monday, A wrote:` goes; an answer that stands below it stays."""
    lines = markdown.split("\n")
    kept: list[str] = []
    code = _code_lines(lines)
    at = 0
    while at < len(lines):
        if not code[at] and (led := _lead(lines, at)):
            at = _end_of_quotation(lines, at + led)
            continue
        if code[at] or not _REPLY_LINE.fullmatch(lines[at].strip()):
            kept.append(lines[at])
        at += 1
    return _tidy(kept)


def without_signature(markdown: str) -> str:
    """What follows two dashes, or a closing formula near the end, and what a telephone adds."""
    lines = markdown.split("\n")
    code = _code_lines(lines)
    lines = [
        line for line, inside in zip(lines, code, strict=True) if inside or not _MOBILE.match(line.strip())
    ]
    filled = [at for at, line in enumerate(lines) if line.strip()]
    code = _code_lines(lines)
    for at in filled[-_SIGNATURE_LINES:]:
        left = [lines[below] for below in filled if below > at]
        if not code[at] and _begins_signature(lines[at], left):
            return _tidy(lines[:at])
    return _tidy(lines)


def _begins_signature(line: str, below: Sequence[str]) -> bool:
    if any(_FENCE.match(other) for other in below):
        return False
    if _DASHES.match(line.strip()):
        return bool(below)
    short = len(below) <= _CLOSING_LINES and all(len(other) <= _SIGNATURE_WIDTH for other in below)
    return bool(_CLOSING.fullmatch(line.strip())) and short and not any("?" in other for other in below)


def _lead(lines: Sequence[str], at: int) -> int:
    """How many lines lead a quotation that begins at `at`; 0 when none does."""
    if _WROTE.match(lines[at].strip()):
        return 1
    # Mail programs wrap the leading line.
    if at + 1 < len(lines) and re.match(r"(On|Am|Le|El|Il|Op)\b", lines[at]) and lines[at + 1].strip():
        wrapped = f"{lines[at].strip()} {lines[at + 1].strip()}"
        return 2 if _WROTE.match(wrapped) else 0
    if _ORIGINAL.fullmatch(lines[at].strip()):
        return 1
    if _HEADER.match(lines[at].strip()):
        found = [line for line in lines[at : at + _HEADERS_WITHIN] if _HEADER.match(line.strip())]
        stated = {found_line.strip().lower().lstrip("*")[:4] for found_line in found}
        # Two fields alone may be a form that somebody filled in: a sender and two more make a mail.
        if len(stated) > _HEADERS_WANTED and stated & {"from", "von:", "von ", "de :", "de: "}:
            return 1
    return 0


def _end_of_quotation(lines: Sequence[str], at: int) -> int:
    """Behind the quoted lines; without any, all that follows is the other mail."""
    first = next((number for number in range(at, len(lines)) if lines[number].strip()), len(lines))
    if first == len(lines) or not _QUOTATION.match(lines[first]):
        return len(lines)
    end = first
    for number in range(first, len(lines)):
        if _QUOTATION.match(lines[number]):
            end = number + 1
        elif lines[number].strip():
            break
    return end


def _code_lines(lines: Sequence[str]) -> list[bool]:
    """Whether each line belongs to a fenced block."""
    inside: list[bool] = []
    fence = ""
    for line in lines:
        found = _FENCE.match(line)
        if fence:
            inside.append(True)
            if found and found[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        else:
            fence = found[1] if found else ""
            inside.append(bool(fence))
    return inside


def _tidy(lines: Sequence[str]) -> str:
    """Without the empty lines that were left, and the break that stood before what was taken."""
    text = "\n".join(lines)
    return re.sub(r"\n{4,}", "\n\n", text).strip("\n").rstrip()
