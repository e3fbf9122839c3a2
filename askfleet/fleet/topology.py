"""What a fleet of clusters is: the models of `topology.yaml`. What holds between them: `rules.py`."""

import reprlib
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from contracts.errors import Misconfigured

Label = Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")]
"""A name in Kubernetes, in DNS and, in capitals, of an environment variable."""
Host = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Folder = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.][A-Za-z0-9_./-]*$")]

STAGES = ("router", "retrieval", "sql", "generation-default")
"""Deployments that a question passes: without one of them it does not end."""
DATA_STAGES = ("router", "retrieval", "sql")
"""Those that read documents and databases: a neighbour can only do their work where it has the same."""
SCALED = (*STAGES, "ingest")
"""Deployments with a ScaledObject."""
ON_GPU = ("generation-default",)
ROLES = (*SCALED, "bridge", "ops")
Role = Literal["router", "retrieval", "sql", "generation-default", "ingest", "bridge", "ops"]


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxdict = _SHORT.maxlist = 3
_SHORT.maxlevel = 2


class TopologyError(Misconfigured):
    """`path` is where in the file, `value` what stands there."""

    code = "bad-topology"
    title = "The fleet can't be as its topology says"

    def __init__(self, path: str, value: object, problem: str, *, remedy: str) -> None:
        super().__init__(f"{path}: {_SHORT.repr(value)} {problem}", remedy=remedy)
        self.path = path
        self.value = value


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Part):
    """Replicas of a Deployment in one cluster. What is left out stays as the manifests have it."""

    least: int | None = Field(default=None, ge=0, le=10_000)
    most: int | None = Field(default=None, ge=1, le=10_000)
    gpu: Label | None = Field(default=None, description="a kind out of `gpus`")
    gpus_each: int = Field(default=1, ge=1, le=16, description="GPUs of one replica")

    def over(self, other: "Limits") -> "Limits":
        """These, and where they say nothing the other ones."""
        return Limits(**(other.model_dump(exclude_unset=True) | self.model_dump(exclude_unset=True)))


class Cluster(_Part):
    region: Label
    nats: Host = Field(description="where neighbours reach its NATS servers (the port is `leaf_port`)")
    overlay: Folder = Field(default="base", description="folder below `manifests` that it builds on")
    data: Label = Field(default="all", description="clusters with the same word read the same data")
    gpus: dict[Label, int] = Field(default={}, description="how many of each kind it may have")
    roles: dict[Role, Limits] = Field(default={}, description="limits that differ from `roles` of the fleet")
    keys: Folder | None = Field(default=None, description="file of public keys; default: `keys` of the fleet")

    @property
    def nodes_by(self) -> Literal["karpenter", "luna", "labels"]:
        """Who adds its GPU nodes, by the name of its overlay; `labels`: they are there, and labelled."""
        overlay = self.overlay.rpartition("/")[2]
        if "karpenter" in overlay:
            return "karpenter"
        return "luna" if "luna" in overlay else "labels"


class Gpu(_Part):
    product: str = Field(min_length=1, max_length=63, description="value of the label nvidia.com/gpu.product")


class Placement(_Part):
    """`each`: in every one of the clusters. `first`: in the first of them that has room."""

    roles: tuple[Role, ...] = Field(min_length=1)
    clusters: tuple[Label, ...] = Field(min_length=1)
    mode: Literal["each", "first"] = "each"


class Spill(_Part):
    """What one cluster's own workers leave waiting, workers of its neighbours take, nearest first."""

    cluster: Label
    to: tuple[Label, ...] = Field(min_length=1, max_length=9)
    roles: tuple[Role, ...] = Field(default=("generation-default",), min_length=1)


class Topology(_Part):
    name: Label
    repository: str = Field(min_length=1, description="Git, as Argo CD reaches it")
    revision: str = Field(min_length=1, description="tag, branch or commit that Argo CD applies")
    folder: Folder = Field(default="deploy/fleet/rendered", description="of what is rendered, in Git")
    manifests: Folder = Field(default="../keda", description="from this file to the manifests of one cluster")
    keys: Folder = Field(default="../nats/public.yaml", description="from this file to the public keys")
    namespace: Label = "askfleet"
    leaf_port: int = Field(default=7422, ge=1, le=65_535)
    guest_share: float = Field(default=0.5, gt=0, le=1, description="of the slots, for neighbours at most")
    gpus: dict[Label, Gpu] = {}
    roles: dict[Role, Limits] = {}
    clusters: dict[Label, Cluster] = Field(min_length=1)
    placement: tuple[Placement, ...] = ()
    spill: tuple[Spill, ...] = ()

    def limits(self, cluster: str, role: str) -> Limits:
        """What holds for a role in a cluster."""
        general = self.roles.get(role, Limits())  # type: ignore[call-overload]
        own: Limits = self.clusters[cluster].roles.get(role, Limits())  # type: ignore[call-overload]
        return own.over(general)

    def placed(self, role: str) -> Placement:
        """Where a role runs: everywhere unless a rule says otherwise."""
        for rule in self.placement:
            if role in rule.roles:
                return rule
        return Placement(roles=(role,), clusters=tuple(self.clusters))  # type: ignore[arg-type]

    def runs(self, cluster: str, role: str) -> bool:
        """`first` is its first cluster here: manifests in Git can't look for room."""
        rule = self.placed(role)
        return cluster == rule.clusters[0] if rule.mode == "first" else cluster in rule.clusters

    def helpers(self, cluster: str, role: str) -> tuple[str, ...]:
        """Who takes what a cluster leaves waiting, nearest first."""
        return tuple(
            to for rule in self.spill if rule.cluster == cluster and role in rule.roles for to in rule.to
        )

    def helped(self, cluster: str, role: str) -> tuple[str, ...]:
        """Whose work a role of this cluster takes: first those that count on it before others."""
        found = [
            (self.helpers(other, role).index(cluster), other)
            for other in self.clusters
            if cluster in self.helpers(other, role)
        ]
        return tuple(other for _, other in sorted(found))

    def guests(self, cluster: str) -> Mapping[str, tuple[str, ...]]:
        """By neighbour: with which roles this cluster helps it."""
        found = {
            other: tuple(role for role in ROLES if other in self.helped(cluster, role))
            for other in self.clusters
        }
        return {other: roles for other, roles in sorted(found.items()) if roles}


FIELDS = tuple(
    dict.fromkeys(
        name for part in (Topology, Cluster, Limits, Placement, Spill, Gpu) for name in part.model_fields
    )
)
"""All names that a file may use for something, wherever."""
