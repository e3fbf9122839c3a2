"""Objects of Kubernetes as data, and how they are written."""

from collections.abc import Iterable, Mapping

import yaml

Object = Mapping[str, object]
HEAD_LINE = "# Written by `askfleet fleet render`"
"""How each rendered file begins, NATS' configurations too: others are neither replaced nor removed."""
HEAD = f"{HEAD_LINE} from the topology of the fleet. Do not edit: change that, render again.\n"
FLEET_LABEL = "askfleet.dev/fleet"
CLUSTER_LABEL = "askfleet.dev/cluster"
REGION_LABEL = "askfleet.dev/region"
PART_OF = {"app.kubernetes.io/part-of": "askfleet"}


def named(api: str, kind: str, name: str, spec: Object, *, namespace: str | None = None) -> Object:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def written(objects: Iterable[Object]) -> str:
    """One file; the same objects give the same bytes."""
    return HEAD + "---\n".join(
        yaml.dump(found, Dumper=_Plain, sort_keys=False, width=110) for found in objects
    )


class _Plain(yaml.SafeDumper):
    """No anchors: what is repeated is written again."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def represent_tuple(self, data: tuple[object, ...]) -> yaml.Node:
        return self.represent_list(data)


_Plain.add_representer(tuple, _Plain.represent_tuple)
