"""JSON texts of a request, and the least value that a schema allows: what the simulated engine answers."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from contracts.errors import PermanentError
from workers.engines.port import ToolCall

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]


def parsed(text: str) -> Any:
    """Raises: PermanentError."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise PermanentError(f"The JSON schema or the tools of the request are not JSON: {error}.") from error


def call_schema(tools: str) -> dict[str, JsonValue]:
    """Of one call of one of the functions in OpenAI's list of tools.

    Raises: PermanentError: it is no such list.
    """
    try:
        functions = [tool["function"] for tool in parsed(tools)]
        calls: list[JsonValue] = [
            _object(
                {"name": {"const": function["name"]}, "arguments": function.get("parameters", _object({}))}
            )
            for function in functions
        ]
    except (TypeError, KeyError) as error:
        raise PermanentError(f"The tools of the request are not a list of functions: {error!r}.") from error
    return {"anyOf": calls}


def read_call(text: str) -> ToolCall | None:
    """From JSON as `call_schema` wants it; None: it was cut off."""
    try:
        call = json.loads(text)
    except ValueError:
        return None
    return ToolCall(f"call-{uuid4().hex}", call["name"], json.dumps(call["arguments"]))


def _object(properties: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def least(schema: Mapping[str, Any]) -> JsonValue:
    """Of `const`, `enum`, `anyOf`, `oneOf`, `type`, required properties and the least lengths and numbers."""
    if "const" in schema:
        return schema["const"]  # type: ignore[no-any-return]
    if "enum" in schema:
        return schema["enum"][0]  # type: ignore[no-any-return]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return least(schema[choice][0])
    kind = schema.get("type", "object" if "properties" in schema else "null")
    return _of_kind(kind[0] if isinstance(kind, list) else kind, schema)


def _of_kind(kind: str, schema: Mapping[str, Any]) -> JsonValue:
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: least(properties.get(name, {})) for name in schema.get("required", properties)}
    if kind == "array":
        return [least(schema.get("items", {}))] * int(schema.get("minItems", 0))
    if kind == "string":
        return "a" * int(schema.get("minLength", 0))
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)  # type: ignore[no-any-return]
    return False if kind == "boolean" else None
