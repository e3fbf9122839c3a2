"""Argo CD: one Application for each registered cluster that carries the fleet's label."""

from askfleet.fleet.objects import CLUSTER_LABEL, FLEET_LABEL, Object, named
from askfleet.fleet.topology import Topology

CLUSTER = f'{{{{index .metadata.labels "{CLUSTER_LABEL}"}}}}'
"""A template of Argo CD: the cluster's name in the topology, a label of its registration."""


def application_set(topology: Topology) -> Object:
    """A cluster that is not in the topology is not chosen; one that is gone keeps what it runs."""
    names = sorted(topology.clusters)
    selector = {
        "matchLabels": {FLEET_LABEL: topology.name},
        "matchExpressions": [{"key": CLUSTER_LABEL, "operator": "In", "values": names}],
    }
    spec = {
        "goTemplate": True,
        "goTemplateOptions": ["missingkey=error"],
        "generators": [{"clusters": {"selector": selector}}],
        "syncPolicy": {"preserveResourcesOnDeletion": True},
        "template": {
            "metadata": {"name": f"{topology.name}-{CLUSTER}", "labels": {FLEET_LABEL: topology.name}},
            "spec": {
                "project": topology.name,
                "source": {
                    "repoURL": topology.repository,
                    "targetRevision": topology.revision,
                    "path": f"{topology.folder}/clusters/{CLUSTER}",
                },
                "destination": {"server": "{{.server}}", "namespace": topology.namespace},
                "syncPolicy": {
                    "automated": {"prune": True, "selfHeal": True},
                    "syncOptions": ["CreateNamespace=false", "ServerSideApply=true"],
                    "retry": {"limit": 5, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "3m"}},
                },
            },
        },
    }
    return named("argoproj.io/v1alpha1", "ApplicationSet", topology.name, spec, namespace="argocd")
