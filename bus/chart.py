"""Values of NATS' official Helm chart: three servers with our accounts, permissions, TLS and limits.

python -m bus.chart keys/public.yaml > values.yaml
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import yaml

from bus.keys import PublicKeys
from bus.server import Block, access, limits, load_keys
from bus.topology import STREAMS
from contracts.errors import Misconfigured

SERVERS = 3
GIB = 1024**3
ROOM = 1.5
"""Of what all streams may hold: the object store and files that are about to be compacted come on top."""
HEAD = """\
# Written by `python -m bus.chart` for the chart `nats` of https://nats-io.github.io/k8s/helm/charts/, from
# the roles in bus/permissions.py, the streams in bus/topology.py and a file of public keys. Do not edit:
# write it again with your own keys, see docs/security.md.
"""
TLS_SECRET = "nats-server-tls"  # noqa: S105 (a name)


def store_gib() -> int:
    """For each server, since each keeps a copy of every stream."""
    return math.ceil(ROOM * sum(stream.max_bytes for stream in STREAMS) / GIB)


def values(keys: PublicKeys) -> dict[str, Any]:
    """The names of the servers are those of their pods: KEDA looks for a consumer's leader by that name, and
    does not find it behind a prefix (KEDA source, nats_jetstream_scaler.go)."""
    tls = {"enabled": True, "secretName": TLS_SECRET}
    return {
        "config": {
            "serverNamePrefix": "",
            "cluster": {"enabled": True, "replicas": SERVERS, "tls": {**tls, "merge": {"verify": True}}},
            "jetstream": {
                "enabled": True,
                "merge": {"sync_interval": "2m"},
                "fileStore": {"dir": "/data", "pvc": {"enabled": True, "size": f"{store_gib()}Gi"}},
            },
            "nats": {"tls": {**tls, "merge": {"verify": True, "handshake_first": "auto", "timeout": 5}}},
            "monitor": {"enabled": True, "port": 8222},
            "merge": {**limits(), **access(keys)},
        },
        "tlsCA": {"enabled": True, "secretName": TLS_SECRET, "key": "ca.crt"},
        "container": {
            "env": {"GOMEMLIMIT": "3GiB"},
            "merge": {
                "resources": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
                "securityContext": _confined(),
            },
        },
        "reloader": {"merge": {"securityContext": _confined()}},
        "promExporter": {
            "enabled": True,
            "podMonitor": {"enabled": True},
            "merge": {"securityContext": _confined()},
        },
        "podTemplate": {
            "topologySpreadConstraints": {
                "kubernetes.io/hostname": {"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"},
                "topology.kubernetes.io/zone": {"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"},
            },
            "merge": {"spec": {"securityContext": _no_root(), "automountServiceAccountToken": False}},
        },
        "natsBox": {"enabled": False},
    }


def _confined() -> Block:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _no_root() -> Block:
    return {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "fsGroup": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def page(keys: PublicKeys) -> str:
    return HEAD + yaml.safe_dump(values(keys), sort_keys=False, width=110)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bus.chart", description="Values of NATS' Helm chart.")
    parser.add_argument("keys", type=Path, help="the file of public keys")
    try:
        print(page(load_keys(parser.parse_args().keys)), end="")
    except Misconfigured as error:
        print(f"error: {error.detail}\nremedy: {error.remedy}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
