"""The file that describes a fleet, read more strictly than YAML asks for; a mistake is told by its place."""

import reprlib
from collections.abc import Hashable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from askfleet.fleet.rules import check
from askfleet.fleet.topology import FIELDS, Topology, TopologyError

FIELDS_PAGE = "docs/fleet.md lists the fields."
_MERGE = "tag:yaml.org,2002:merge"
_REMEDIES = {
    "string_type": "Put it in quotes.",
    "string_pattern_mismatch": "Names have small letters, digits and hyphens, and begin with a letter.",
    "literal_error": "Name one of these.",
    "extra_forbidden": f"Leave it out; {FIELDS_PAGE}",
}


def read_topology(path: Path) -> Topology:
    """The file, checked; raises TopologyError for the first thing that is wrong."""
    topology = parse_topology(_raw(path))
    check(topology)
    return topology


def parse_topology(raw: object) -> Topology:
    """Raises TopologyError."""
    if not isinstance(raw, dict):
        problem = "is no fleet: fields and their values are expected."
        raise TopologyError(
            "topology", raw, problem, remedy=f"Copy deploy/fleet/topology.yaml; {FIELDS_PAGE}"
        )
    try:
        return Topology.model_validate(raw)
    except ValidationError as error:
        # A field that is misspelt is missing under its name, too: to name what is there helps more.
        errors = sorted(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        raise _told(errors[0]) from error


def _told(error: ErrorDetails) -> TopologyError:
    *above, last = [str(part) for part in error["loc"] if part != "[key]"]
    place = ".".join(above) or "topology"
    if error["type"] == "missing":
        return TopologyError(place, last, "is missing.", remedy=f"Add it; {FIELDS_PAGE}")
    if error["type"] == "extra_forbidden":
        return TopologyError(place, last, "is no field here.", remedy=_meant(last))
    remedy = _REMEDIES.get(error["type"], f"Correct it; {FIELDS_PAGE}")
    path = ".".join([*above, last])
    return TopologyError(path, error["input"], f"is not valid: {error['msg']}.", remedy=remedy)


def _meant(name: str) -> str:
    close = get_close_matches(name, FIELDS, n=1)
    return f"Did you mean `{close[0]}`? {FIELDS_PAGE}" if close else _REMEDIES["extra_forbidden"]


def _raw(path: Path) -> object:
    try:
        text = path.read_text()
        # SafeLoader in its own words: it makes no objects.
        return yaml.load(text, Loader=_Strict)  # noqa: S506
    except OSError as error:
        raise TopologyError(str(path), error.strerror, "can't be read.", remedy="Name the file.") from error
    except yaml.MarkedYAMLError as error:
        raise _at_its_line(path, text, error) from error
    except RecursionError as error:
        problem = "is nested too deeply."
        raise TopologyError(str(path), reprlib.repr(text), problem, remedy="Name the right file.") from error
    except (yaml.YAMLError, ValueError) as error:
        # Bytes that are no text, and numbers with thousands of digits.
        raise TopologyError(str(path), str(error), "is not YAML.", remedy="Name the right file.") from error


def _at_its_line(path: Path, text: str, error: yaml.MarkedYAMLError) -> TopologyError:
    mark = error.problem_mark
    if mark is None:
        return TopologyError(str(path), error.problem, "is not YAML.", remedy="Correct it.")
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    place = f"{path}, line {mark.line + 1}, column {mark.column + 1}"
    return TopologyError(place, line, f"is not right: {error.problem}.", remedy="Correct the line.")


class _Strict(yaml.SafeLoader):
    """A key that stands twice is refused: YAML's parser takes the last one, and a cluster would be gone."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in seen:
                    problem = f"{key.value!r} stands there a second time"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)
