"""How many tokens a text has for the model in a GGUF file, counted in this process.

llama.cpp counts over its loopback listener only, which takes milliseconds and would hold up the event loop.
The layout is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import tokenizers

_BYTES_A_TOKEN = 3
"""English prose has 4 to 5, code and other scripts about 3."""
_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_BYTE_LEVEL = "gpt2"
"""How GGUF calls the byte-level BPE of GPT-2, Llama 3, Qwen, SmolLM and many others."""
_CACHED_TEXTS = 4_096
_LONGEST_CACHED_CHARS = 2_000

_Value = int | float | str | list["_Value"]


def estimate(text: str) -> int:
    """Rounded up, for a model whose vocabulary is not known."""
    return len(text.encode()) // _BYTES_A_TOKEN + 1


class Vocabulary:
    """Of a byte-level model the tokens are counted, of others estimated.

    How the model splits text before it merges bytes is taken as GPT-2's: it differs between models for digits
    and a few signs, not for words.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer | None) -> None:
        self._tokenizer = tokenizer
        self._cached = lru_cache(_CACHED_TEXTS)(self._counted)

    def count(self, text: str) -> int:
        return self._cached(text) if len(text) <= _LONGEST_CACHED_CHARS else self._counted(text)

    def _counted(self, text: str) -> int:
        if self._tokenizer is None:
            return estimate(text)
        return len(self._tokenizer.encode(text, add_special_tokens=False))


def read_vocabulary(model: Path) -> Vocabulary:
    """Of a file that is cut off or of another kind, one that estimates."""
    wanted = {"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges"}
    try:
        with _opened(model) as data:
            found = dict(_entries(data, wanted))
    except (ValueError, struct.error, UnicodeDecodeError):
        return Vocabulary(None)
    tokens, merges = found.get("tokenizer.ggml.tokens"), found.get("tokenizer.ggml.merges")
    known = found.get("tokenizer.ggml.model") == _BYTE_LEVEL
    if not known or not isinstance(tokens, list) or not isinstance(merges, list):
        return Vocabulary(None)
    return Vocabulary(_byte_level([str(token) for token in tokens], [str(merge) for merge in merges]))


def _byte_level(tokens: list[str], merges: list[str]) -> tokenizers.Tokenizer:
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, pairs))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


@contextmanager
def _opened(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _entries(data: mmap.mmap, wanted: set[str]) -> Iterator[tuple[str, _Value]]:
    """The wanted ones of the file's metadata; others are stepped over."""
    magic, _version, _tensors, count = struct.unpack_from("<4sIQQ", data)
    if magic != b"GGUF":
        raise ValueError("not a GGUF file")
    at, missing = 24, set(wanted)
    for _ in range(count):
        key, at = _string(data, at)
        kind = struct.unpack_from("<I", data, at)[0]
        value, at = _value(data, at + 4, kind)
        if key in missing:
            missing.remove(key)
            yield key, value
        if not missing:
            return


def _value(data: mmap.mmap, at: int, kind: int) -> tuple[_Value, int]:
    if kind == _STRING:
        return _string(data, at)
    if kind == _ARRAY:
        return _array(data, at)
    form = f"<{_NUMBERS[kind]}"
    return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)


def _array(data: mmap.mmap, at: int) -> tuple[_Value, int]:
    kind, length = struct.unpack_from("<IQ", data, at)
    at += 12
    if kind in _NUMBERS:
        form = f"<{length}{_NUMBERS[kind]}"
        return list(struct.unpack_from(form, data, at)), at + struct.calcsize(form)
    items: list[_Value] = []
    for _ in range(length):
        item, at = _value(data, at, kind)
        items.append(item)
    return items, at


def _string(data: mmap.mmap, at: int) -> tuple[str, int]:
    end = at + 8 + int.from_bytes(data[at : at + 8], "little")
    return data[at + 8 : end].decode(), end
