"""The semantic model as a YAML file that a person edits."""

from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from contracts.errors import Misconfigured
from workers.catalogue.model import SemanticModel

_MODEL = TypeAdapter(SemanticModel)
_REMEDY = "Correct the semantic model file; `askfleet sql model check` shows every mistake in it."


def dump(model: SemanticModel) -> str:
    """YAML without the fields that have their default, so that what is written is what matters."""
    return yaml.dump(
        _plain(model),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=110,
        default_flow_style=False,
    )


def load(text: str, *, source: str = "semantic model") -> SemanticModel:
    """Read what `dump` wrote and a person edited.

    Raises:
        Misconfigured: no YAML or not that shape; names the line, the field and the value.
    """
    try:
        raw = yaml.safe_load(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise Misconfigured(f"{source}, line {line}: not YAML: {error.problem}.", remedy=_REMEDY) from error
    except yaml.YAMLError as error:
        raise Misconfigured(f"{source}: not YAML: {error}.", remedy=_REMEDY) from error
    try:
        return _MODEL.validate_python(raw if raw is not None else {})
    except ValidationError as error:
        raise Misconfigured(_describe(error, root, source), remedy=_REMEDY) from error


def read(path: Path) -> SemanticModel:
    """Raises Misconfigured when the file is missing or wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"Can't read the semantic model {path}: {error}.", remedy=_REMEDY) from error
    return load(text, source=str(path))


def write(model: SemanticModel, path: Path) -> None:
    path.write_text(dump(model), encoding="utf-8")


class _Dumper(yaml.SafeDumper):
    """Short lists in one line: a column stays readable."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_list(dumper: yaml.SafeDumper, data: list[object]) -> yaml.Node:
    inline = all(isinstance(item, str | int | float) or _is_pair(item) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=inline)


def _is_pair(item: object) -> bool:
    return isinstance(item, list) and all(isinstance(part, str) for part in item)


_Dumper.add_representer(list, _represent_list)


def _plain(value: object) -> Any:
    if is_dataclass(value):
        return {
            item.name: _plain(getattr(value, item.name))
            for item in fields(value)
            if getattr(value, item.name) != _default(item)
        }
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def _default(item: Any) -> object:
    return item.default_factory() if item.default_factory is not MISSING else item.default


def _describe(error: ValidationError, root: yaml.Node | None, source: str) -> str:
    first = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in first["loc"]) or "the file"
    value = repr(first["input"])
    shown = value if len(value) <= 80 else f"{value[:77]}..."
    return f"{source}, line {_line(root, first['loc'])}: {path}: {first['msg']} (got {shown})."


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """Line of the deepest node that the path of the validation error reaches."""
    line = node.start_mark.line + 1 if node else 1
    for part in loc:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        elif isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
            continue
        else:
            break
        line = node.start_mark.line + 1
    return line
