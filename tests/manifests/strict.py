"""Kubernetes manifests as an API server would read them, but stricter: an unknown field is an error.

Core kinds are held to the schemas of `kubernetes-validate --strict`; custom resources to the CRDs in
`../shared/schemas`, where every object that lists its properties takes no others (a CRD itself drops a
misspelled field in silence); triggers of KEDA to the fields that KEDA documents for them. Not evaluated: the
CEL rules of a CRD (`x-kubernetes-validations`) and what an operator checks when it reads the object.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

Manifest = dict[str, Any]
KUBERNETES = "1.37"
"""The newest that core kinds are held to."""
LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
METADATA = ("name", "generateName", "namespace", "labels", "annotations", "finalizers")


def read(path: Path) -> list[Manifest]:
    """The objects of one file."""
    return [document for document in yaml.load_all(path.read_text(), Loader=LOADER) if document]


def render(kubectl: Path, folder: Path) -> list[Manifest]:
    """What `kubectl kustomize` makes of a folder; fails with its words."""
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"kubectl kustomize {folder}: {done.stderr}"
    assert not done.stderr, f"kubectl kustomize {folder} warns: {done.stderr}"
    return [document for document in yaml.load_all(done.stdout, Loader=LOADER) if document]


def named(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """The objects of one kind by name."""
    return {found["metadata"]["name"]: found for found in manifests if found["kind"] == kind}


class Schemas:
    """What objects may hold.

    Args:
        folder: CRDs as YAML, and `keda.<trigger>.json` for the metadata of triggers.
    """

    def __init__(self, folder: Path) -> None:
        self._custom = dict(_custom_validators(folder))
        self._triggers = {
            path.stem.removeprefix("keda."): json.loads(path.read_text())["parameters"]
            for path in folder.glob("keda.*.json")
        }

    def problems(self, manifest: Manifest, *, kubernetes: str = KUBERNETES) -> list[str]:
        """Empty for an object that is right; each problem names the object and the place."""
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        validator = self._custom.get((manifest["apiVersion"], manifest["kind"]))
        if validator is None:
            return [f"{name} {problem}" for problem in _core_problems(manifest, kubernetes)]
        found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]
        if manifest["kind"] == "ScaledObject" and not found:
            found = [
                problem for trigger in manifest["spec"]["triggers"] for problem in self._of_trigger(trigger)
            ]
        return [f"{name} {problem}" for problem in found]

    def _of_trigger(self, trigger: Manifest) -> Iterator[str]:
        known = self._triggers.get(trigger["type"])
        if known is None:
            yield f"trigger {trigger['type']}: no such type in the schemas"
            return
        parameters = {parameter["name"]: parameter for parameter in known}
        for name in sorted(set(trigger["metadata"]) - set(parameters)):
            yield f"trigger {trigger['type']}: unknown field {name!r}"
        for name, parameter in parameters.items():
            optional = parameter.get("optional") or "default" in parameter
            if not optional and not trigger["metadata"].get(name):
                yield f"trigger {trigger['type']}: {name!r} is missing"


def _core_problems(manifest: Manifest, kubernetes: str) -> Iterator[str]:
    validator = _core_validator(manifest["apiVersion"], manifest["kind"], kubernetes)
    if validator is None:
        yield f"no schema for {manifest['apiVersion']}"
        return
    for error in validator.iter_errors(manifest):
        yield f"{error.json_path}: {error.message}"


@cache
def _core_validator(api_version: str, kind: str, kubernetes: str) -> Draft202012Validator | None:
    """As `kubernetes-validate --strict` makes it, which reads 5 MB of definitions anew for each object."""
    version = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    try:
        schema = schema_contents(f"{_folder(kubernetes)}/{kind.lower()}-{version}.json", kubernetes)
    except FileNotFoundError:
        return None
    registry = Resource.from_contents(schema) @ _core_registry(kubernetes)
    return Draft202012Validator(schema, registry=registry)


@cache
def _core_registry(kubernetes: str) -> Registry[Any]:
    found = schema_contents(f"{_folder(kubernetes)}/_definitions.json", kubernetes)
    return Resource.from_contents(found) @ Registry()


def _folder(kubernetes: str) -> str:
    return f"kubernetes-json-schema/v{kubernetes}.0-local-strict"


def _custom_validators(folder: Path) -> Iterator[tuple[tuple[str, str], Draft202012Validator]]:
    for path in sorted(folder.glob("*.yaml")):
        for definition in read(path):
            group, kind = definition["spec"]["group"], definition["spec"]["names"]["kind"]
            for version in definition["spec"]["versions"]:
                schema = strict_schema(version["schema"]["openAPIV3Schema"])
                yield (f"{group}/{version['name']}", kind), Draft202012Validator(_rooted(schema))


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A structural schema of a CRD as JSON schema that refuses unknown fields.

    `x-kubernetes-preserve-unknown-fields` keeps an object open, `x-kubernetes-int-or-string` takes both.
    """
    result = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    if schema.get("x-kubernetes-int-or-string"):
        result = {key: value for key, value in result.items() if key not in ("type", "anyOf")}
        result["type"] = ["integer", "string"]
    if schema.get("nullable") and "type" in result:
        result["type"] = [result["type"], "null"]
    if "properties" in schema:
        result["properties"] = {name: strict_schema(inner) for name, inner in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
            result["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            result[key] = strict_schema(schema[key])
    return result


def _rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """With the metadata that every object has; a CRD only says that it is an object."""
    metadata = {"type": "object", "required": ["name"], "additionalProperties": False}
    metadata["properties"] = {
        name: {"type": "object", "additionalProperties": {"type": "string"}}
        if name in ("labels", "annotations")
        else {}
        for name in METADATA
    }
    properties = {**schema.get("properties", {}), "metadata": metadata}
    required = sorted({*schema.get("required", ()), "apiVersion", "kind", "metadata"})
    return {**schema, "properties": properties, "required": required, "additionalProperties": False}
