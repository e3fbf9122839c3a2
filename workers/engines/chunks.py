"""Chunks of a streamed chat completion, in OpenAI's shape, as servers and llama.cpp give them."""

from collections.abc import Mapping
from typing import Any

from contracts import Usage
from workers.engines.port import FinishReason, ToolCall

Chunk = Mapping[str, Any]


def text_of(chunk: Chunk) -> str:
    return _delta(chunk).get("content") or ""


def finish_of(chunk: Chunk) -> FinishReason | None:
    choices = chunk.get("choices")
    reason = choices[0].get("finish_reason") if choices else None
    if reason is None:
        return None
    return "length" if reason == "length" else "stop"


def usage_of(chunk: Chunk) -> Usage | None:
    usage = chunk.get("usage")
    if not usage:
        return None
    return Usage(
        prompt_tokens=usage.get("prompt_tokens", 0),
        completion_tokens=usage.get("completion_tokens", 0),
        cached_prompt_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
    )


class CallsSoFar:
    """Tool calls come in parts: id and name first, the arguments piece by piece."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[str, str]] = {}

    def add(self, chunk: Chunk) -> None:
        for call in _delta(chunk).get("tool_calls") or ():
            kept = self._parts.setdefault(call.get("index", 0), {"id": "", "name": "", "arguments": ""})
            function = call.get("function") or {}
            kept["id"] = call.get("id") or kept["id"]
            kept["name"] = function.get("name") or kept["name"]
            kept["arguments"] += function.get("arguments") or ""

    def whole(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(**self._parts[index]) for index in sorted(self._parts))


def _delta(chunk: Chunk) -> Chunk:
    choices = chunk.get("choices")
    return (choices[0].get("delta") or {}) if choices else {}
