"""From messages to token ids: the chat template's, and those of text that stands already.

The ids of an answer are not on its log, only its text. Tokenised again, the text has the ids that the model
wrote, but maybe for its end: "\\n\\n" is one token at the end and two before a word, and a cut inside a word
or a token can't be tokenised as it was. So the last word is left out of the prompt, and the model writes it
again: from the same ids it takes the same tokens, and what it repeats is held back.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.errors import Misconfigured
from workers.engines.inert import inert
from workers.engines.port import GenerationRequest
from workers.engines.schemas import parsed

_LAST_WORD = re.compile(r"(?<=\S)\s+\S*\s*\Z")
_LONGEST_REPEAT_CHARS = 48
_SHORT_REPEAT_CHARS = 4
_QUICK_CHARS = 4_000
"""They take 2 ms; on busy CPUs a thread's turn alone costs more."""


@dataclass(frozen=True)
class Prompt:
    """`repeated` is the end of the prefix, which the model has to write again."""

    ids: list[int]
    repeated: str = ""
    repeated_tokens: int = 0


class Prompts:
    """Thread-safe, since long prompts are made beside the event loop."""

    def __init__(self, tokenizer: Any, chat_template: Path | None = None) -> None:
        self._tokenizer = tokenizer
        self._template = chat_template.read_text() if chat_template is not None else None
        if self._template is None and not tokenizer.chat_template:
            raise Misconfigured(
                "The model has no chat template.",
                remedy="Set AF_ENGINE_CHAT_TEMPLATE to a Jinja file.",
            )

    def takes_long(self, request: GenerationRequest) -> bool:
        texts = [request.prefix, request.tools or "", *(message.content for message in request.messages)]
        return sum(map(len, texts)) > _QUICK_CHARS

    def of(self, request: GenerationRequest, *, repeat: bool = True) -> Prompt:
        """With `repeat` the last word of the prefix is left to the model."""
        template = self.template_ids(request)
        if not request.prefix:
            return Prompt(template)
        cut = repeat_from(request.prefix) if repeat else len(request.prefix)
        kept, repeated = request.prefix[:cut], request.prefix[cut:]
        return Prompt([*template, *self._ids(kept)], repeated, len(self._ids(repeated)))

    def template_ids(self, request: GenerationRequest) -> list[int]:
        messages = [{"role": message.role, "content": inert(message.content)} for message in request.messages]
        return self._ids(self._text(messages, None if request.tools is None else parsed(request.tools)))

    def knows_tools(self) -> bool:
        """Whether the template writes tools into the prompt; where not, the model would never see them."""
        from jinja2 import TemplateError  # vLLM brings it

        probe = {
            "name": "probe_of_tools",
            "description": "",
            "parameters": {"type": "object", "properties": {}},
        }
        try:
            text = self._text([{"role": "user", "content": "?"}], [{"type": "function", "function": probe}])
        except TemplateError:
            return False
        return str(probe["name"]) in text

    def _text(self, messages: list[dict[str, str]], tools: Any = None) -> str:
        text: str = self._tokenizer.apply_chat_template(
            messages, tools=tools, chat_template=self._template, add_generation_prompt=True, tokenize=False
        )
        return text

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False) if text else []


def repeat_from(prefix: str) -> int:
    """Where the last word begins, with the white space before it; of a text without spaces some signs."""
    found = _LAST_WORD.search(prefix, max(0, len(prefix) - _LONGEST_REPEAT_CHARS))
    if found is not None:
        return found.start()
    return 0 if len(prefix) <= _LONGEST_REPEAT_CHARS else len(prefix) - _SHORT_REPEAT_CHARS
