"""How many tokens a text is to a sentence-embedding model, without its tokenizer.

Chunks must not depend on which embedder is configured, so the count is a rule: six letters of a word are a
token, two digits are one, and each other sign is one. White space counts only where it is padding, so that a
chunk is bounded in bytes too.
"""

import re

_TOKEN = re.compile(r"[A-Za-z\u00c0-\u024f]{1,6}|[0-9]{1,2}|\S|\s{16}")


def estimate(text: str) -> int:
    return len(_TOKEN.findall(text))
