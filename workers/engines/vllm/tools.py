"""Functions that a model may call: how its output is held to them, and how the calls are read from it.

A model that has to call writes JSON, which a schema forces. When it may also answer, only the parser of its
family tells a call from text; with a parser the model calls in the form that it was trained for.
"""

import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from contracts.errors import Misconfigured, PermanentError
from workers.engines.port import GenerationRequest, Piece, ToolCall
from workers.engines.schemas import call_schema, parsed, read_call

SETTING = "AF_ENGINE_VLLM_TOOL_PARSER"


@dataclass(frozen=True)
class Calling:
    """Of one request: `constraint` is vLLM's, `read` gives text and calls of a whole output.

    `special_tokens`: the marks of a call are among them, and must not be left out of the output.
    """

    constraint: Any
    read: Callable[[str], tuple[str, tuple[ToolCall, ...]]]
    special_tokens: bool = False


class Tools:
    """Thread-safe, as `Prompts` is. `parser` is one of vLLM's by name; empty: only what must call can.

    Raises: Misconfigured: vLLM has no such parser, or it is of another family than the model.
    """

    def __init__(self, tokenizer: Any, parser: str = "") -> None:
        self._tokenizer = tokenizer
        self._parser = _parser_named(parser) if parser else None
        if self._parser is not None:
            _check_family(self._parser, tokenizer, parser)

    def calling(self, request: GenerationRequest) -> Calling:
        """Raises: PermanentError: tools that are none, or a choice that nothing here can read."""
        assert request.tools is not None
        chat = _chat(request.tools, must=request.must_call)
        if self._parser is not None and not (request.must_call and self._parser.supports_required_and_named):
            return self._by_parser(self._parser, chat)
        if not request.must_call:
            raise PermanentError(
                "Without a parser nothing tells the calls of this model from its text.",
                remedy=f"Set {SETTING} to the parser of the model's family, or make the call a must.",
            )
        return _as_json(request.tools)

    def _by_parser(self, of_family: Any, chat: Any) -> Calling:
        from vllm.sampling_params import StructuredOutputsParams
        from vllm.tool_parsers.tool_strict_level import ToolStrictLevel

        parser = of_family(self._tokenizer, chat.tools)
        tag = parser.get_structural_tag(chat, strict_level=ToolStrictLevel.PARAMETER)
        constraint = tag and StructuredOutputsParams(structural_tag=json.dumps(tag.model_dump()))
        asked = parser.adjust_request(chat)

        def read(text: str) -> tuple[str, tuple[ToolCall, ...]]:
            found = parser.extract_tool_calls(text, asked)
            calls = [_call(call.function.name, call.function.arguments) for call in found.tool_calls]
            return found.content or "", tuple(calls)

        return Calling(constraint, read, special_tokens=not asked.skip_special_tokens)


async def with_calls(pieces: AsyncGenerator[Piece, None], calling: Calling) -> AsyncGenerator[Piece, None]:
    """One piece: what is text and what is a call stands when the output is whole."""
    text, tokens = "", 0
    async for piece in pieces:
        text, tokens = text + piece.text, tokens + piece.tokens
        if piece.finish_reason is not None:
            content, calls = calling.read(text)
            yield replace(piece, text=content, tokens=tokens, tool_calls=calls)


def check_parser(name: str) -> None:
    """Raises: Misconfigured: vLLM has no parser of that name, which may be empty."""
    if name:
        _parser_named(name)


def _parser_named(name: str) -> Any:
    from vllm.tool_parsers import ToolParserManager

    try:
        return ToolParserManager.get_tool_parser(name)
    except KeyError:
        known = ", ".join(sorted(ToolParserManager.list_registered()))
        raise Misconfigured(
            f"vLLM has no tool parser {name!r}.", remedy=f"Set {SETTING} to one of: {known}."
        ) from None


def _check_family(parser: Any, tokenizer: Any, name: str) -> None:
    """Now, since else each request with tools would fail."""
    try:
        parser(tokenizer)
    except (RuntimeError, ValueError) as error:
        raise Misconfigured(
            f"The tool parser {name!r} does not fit the model: {error}",
            remedy=f"Set {SETTING} to the parser of the model's family, or leave it empty.",
        ) from error


def _chat(tools: str, *, must: bool) -> Any:
    """As vLLM's parsers want it."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    choice = "required" if must else "auto"
    try:
        return ChatCompletionRequest(messages=[], tools=parsed(tools), tool_choice=choice)
    except (ValidationError, ValueError) as error:
        raise PermanentError(f"These are no tools: {error}.") from error


def _as_json(tools: str) -> Calling:
    """One call, since a small model may not find the end of a list."""
    from vllm.sampling_params import StructuredOutputsParams

    return Calling(StructuredOutputsParams(json=call_schema(tools)), _read_json)


def _read_json(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """Neither text nor call where the output was cut off."""
    call = read_call(text)
    return "", () if call is None else (call,)


def _call(name: str, arguments: str) -> ToolCall:
    return ToolCall(f"call_{uuid4().hex}", name, arguments)
