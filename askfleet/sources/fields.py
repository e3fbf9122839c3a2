"""Reading JSON objects whose shape is the source's affair: what is missing or odd is empty, not an error."""

from collections.abc import Mapping

from contracts.errors import InvalidDocument

Object = Mapping[str, object]
_EMPTY: Object = {}


def text(fields: Object, *path: str) -> str:
    """The scalar at the end of the path, as text."""
    value = _at(fields, path)
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def flag(fields: Object, name: str, *, default: bool = False) -> bool:
    value = fields.get(name)
    return value if isinstance(value, bool) else default


def number(fields: Object, name: str) -> int:
    value = fields.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def part(fields: Object, *path: str) -> Object:
    value = _at(fields, path)
    return value if isinstance(value, dict) else _EMPTY


def objects(fields: Object, *path: str) -> list[Object]:
    """The objects of a list; anything else in it is passed over."""
    value = _at(fields, path)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(fields: Object, *path: str) -> list[str]:
    value = _at(fields, path)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def object_of(value: object, where: str) -> Object:
    """Raises InvalidDocument when it is none."""
    if not isinstance(value, dict):
        shown = repr(value)[:60]
        raise InvalidDocument(f"{where} is {shown}, not an object.", remedy="Export it again as JSON.")
    return value


def required(fields: Object, name: str, where: str) -> str:
    """Raises InvalidDocument when it is missing, empty, or no scalar."""
    value = text(fields, name).strip()
    if not value:
        shown = repr(fields.get(name))[:60]
        raise InvalidDocument(
            f"{where}: the field {name!r} is {shown}.", remedy="Export it again with all its fields."
        )
    return value


def _at(fields: Object, path: tuple[str, ...]) -> object:
    value: object = fields
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
