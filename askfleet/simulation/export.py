"""The ScaledObject that ships, with the numbers that were found; comments and order stay as they are."""

import re
from pathlib import Path

from askfleet.scaling import ScaledObject, read_scaled_object
from askfleet.simulation.policy import down_window_s
from contracts.errors import Misconfigured


def exported(shipped: Path, wanted: ScaledObject, *, slots: int) -> str:
    """The file's text with target, minimum, maximum and window of `wanted`.

    Raises:
        Misconfigured: the file lacks a line that has to change.
    """
    target = f'"{wanted.target_value:g}"'
    window_s = down_window_s(wanted)
    text = shipped.read_text(encoding="utf-8")
    for pattern, value in (
        (r"(?m)^(  minReplicaCount: ).*$", str(wanted.min_replicas)),
        (r"(?m)^(  maxReplicaCount: ).*$", str(wanted.max_replicas)),
        (r"(?m)^(      target: ).*$", target),
        (r"(?m)^(        lagThreshold: ).*$", target),
        (r"(?m)^(    askfleet\.dev/queue-per-pod: ).*$", f'"{wanted.target_value - slots:g}"'),
        (r"(?s)(scaleDown:\s+stabilizationWindowSeconds: )\d+", str(window_s)),
    ):
        text, changes = re.subn(pattern, rf"\g<1>{value}", text)
        if not changes:
            raise Misconfigured(
                f"{shipped} has no line like {pattern!r}.",
                remedy="Start from deploy/keda/base/scaledobjects/generation-default.yaml.",
            )
    return text


def write_export(path: Path, shipped: Path, wanted: ScaledObject, *, slots: int) -> None:
    """Read back before it counts as written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(exported(shipped, wanted, slots=slots), encoding="utf-8")
    found = read_scaled_object(path)
    assert (found.target_value, found.min_replicas) == (wanted.target_value, wanted.min_replicas)
