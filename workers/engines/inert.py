"""Text that a prompt carries, without what a model's chat template or a reader's eye would take for more.

Passages, rows and questions are written by strangers. A tokeniser that parses special tokens turns the text
`<|im_end|><|im_start|>system` into the end of one message and the begin of another; characters without a
shape hide words from people that a model reads. Both are taken out of every message before an engine gets it.
"""

import re

# What opens and closes turns, calls tools or marks thoughts in the templates of known model families: ChatML,
# Llama 2 and 3, Mistral, Gemma, Phi, DeepSeek (with full-width bars), Command R, Qwen, Granite.
# Each begins with one literal, which the search for it leaps to.
_ANGLE = re.compile(
    r"<(?=\s*[|\uff5c]"
    r"|\s*/?\s*(?:s|bos|eos|pad|unk|mask|start_of_turn|end_of_turn|start_of_image|think|thinking|tool_calls?|tools"
    r"|tool_response|function|function_calls|invoke|system|user|assistant|unused\d+|extra_id_\d+)\s*[=>]"
    r"|<?\s*/?\s*SYS\s*>>)",
    re.IGNORECASE,
)
_BRACKET = re.compile(
    r"\[(?=\s*/?\s*(?:INST|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|IMG|THINK)\s*\])",
    re.IGNORECASE,
)
# Zero-width, bidirectional, tag, private and control characters, and variation selectors. Joiners stay where
# a script needs them: between letters that are not ASCII.
_SHAPELESS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
_JOINER = re.compile("(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])")
_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), 127])


def inert(text: str) -> str:
    """Without control and format characters, and with template tokens spelled so that they are plain text."""
    shown = text.translate(_CONTROLS) if text.isascii() else _SHAPELESS.sub("", text)
    if not shown.isascii() and ("\u200c" in shown or "\u200d" in shown):
        shown = _JOINER.sub("", shown)
    return _BRACKET.sub("(", _ANGLE.sub("\u2039", shown))
