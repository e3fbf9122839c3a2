"""Plain text as Markdown that a reader sees unchanged: only what would be read as markup is escaped."""

import re

_BACKSLASH = re.compile(r"\\(?=[!-/:-@\[-`{-~])")
_BACKTICK = re.compile(r"`")
# An asterisk between blanks is no emphasis, an underscore within a word neither.
_STAR = re.compile(r"(?<=\S)\*|\*(?=\S)")
_UNDERSCORE = re.compile(r"(?<!\w)_(?=\S)|(?<=\S)_(?!\w)")
_STRIKE = re.compile(r"~(?=~)")
_LINK = re.compile(r"\](?=[(:])")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_ENTITY = re.compile(r"&(?=#?\w{1,32};)")
_BLOCK_START = re.compile(
    r"^([ \t]*)(#{1,6}(?=[ \t]|$)|>|[-+*](?=[ \t]|$)|-{2,}[ \t]*$|={2,}[ \t]*$|~{3,})", re.MULTILINE
)
_NUMBER_START = re.compile(r"^([ \t]*\d{1,9})([.)])(?=[ \t]|$)", re.MULTILINE)
_FENCES = re.compile(r"`+")
_UNSAFE_SCHEME = re.compile(r"\s*(?:javascript|vbscript|data)\s*:", re.IGNORECASE)


def escaped(text: str) -> str:
    """For text within a line."""
    text = _BACKSLASH.sub(r"\\\\", text)
    for pattern in (_BACKTICK, _STAR, _UNDERSCORE, _STRIKE, _LINK, _TAG, _ENTITY):
        text = pattern.sub(lambda found: "\\" + found[0], text)
    return text


def escaped_starts(markdown: str) -> str:
    """For lines of a paragraph: none begins a heading, a list or a quotation."""
    markdown = _BLOCK_START.sub(r"\1\\\2", markdown)
    return _NUMBER_START.sub(r"\1\\\2", markdown)


def plain_as_markdown(text: str) -> str:
    """Paragraphs of plain text with their line breaks."""
    lines = [escaped(line.rstrip()) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return escaped_starts("\n".join(lines)).strip("\n").replace("\n", "  \n").replace("\n  \n", "\n\n")


def code_span(text: str) -> str:
    """The fence is longer than any run of backticks inside."""
    text = text.replace("\n", " ")
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (max(len(run) for run in _FENCES.findall(text)) + 1)
    return f"{fence} {text} {fence}"


def code_block(code: str, language: str = "") -> str:
    longest = max((len(run) for run in _FENCES.findall(code)), default=0)
    fence = "`" * max(3, longest + 1)
    label = re.sub(r"[^\w+#.-]", "", language)
    return f"{fence}{'' if label == 'none' else label}\n{code}\n{fence}"


def link(text: str, target: str) -> str:
    """The text alone when the target would run a script."""
    if not target.strip() or _UNSAFE_SCHEME.match(target):
        return text
    return f"[{text}]({_destination(target)})"


def image(alt: str, target: str) -> str:
    return f"![{alt}]({_destination(target)})"


def quoted(markdown: str) -> str:
    return "\n".join(f"> {line}" for line in markdown.split("\n"))


def indented(markdown: str, width: int) -> str:
    """Every line but the empty ones."""
    blank = " " * width
    return "\n".join(blank + line if line else line for line in markdown.split("\n"))


def _destination(target: str) -> str:
    target = target.strip().replace("\n", "%0A").replace("<", "%3C").replace(">", "%3E")
    return f"<{target}>" if re.search(r"[\s()]", target) else target
