"""Pods of one namespace at the API server of Kubernetes: one annotation is written, nothing is read."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from contracts.errors import DependencyUnavailable, Misconfigured
from workers.costs.settings import CostSettings

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
MERGE = "application/merge-patch+json"


class Pods:
    """`token` is read for each request: Kubernetes replaces the file before its content expires."""

    def __init__(self, client: httpx.AsyncClient, *, namespace: str, token: Path) -> None:
        self._client, self._namespace, self._token = client, namespace, token

    async def set_deletion_cost(self, pod: str, cost: int) -> bool:
        """False when there is no such pod (any more).

        Raises:
            DependencyUnavailable: the API server does not answer, or not now.
            Misconfigured: it does not let us.
        """
        body = {"metadata": {"annotations": {ANNOTATION: str(cost)}}}
        try:
            headers = {"Authorization": f"Bearer {self._token.read_text().strip()}", "Content-Type": MERGE}
            answer = await self._client.patch(
                f"/api/v1/namespaces/{self._namespace}/pods/{pod}", json=body, headers=headers
            )
        except (httpx.HTTPError, OSError) as error:
            raise DependencyUnavailable(f"The pod {pod!r} can't be marked: {error!r}.") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise Misconfigured(
                f"The API server does not let us patch the pod {pod!r}: {answer.status_code}.",
                remedy="Apply deploy/keda/base/access/costs.yaml and mount its service account's token.",
            )
        if answer.is_error:
            raise DependencyUnavailable(f"The pod {pod!r} was not marked: {answer.status_code}.")
        return True


@asynccontextmanager
async def open_pods(settings: CostSettings) -> AsyncIterator[Pods]:
    """Raises Misconfigured when the certificates of the API server can't be read."""
    secure = settings.kubernetes_url.startswith("https://")
    try:
        verify = ssl.create_default_context(cafile=str(settings.kubernetes_ca_file)) if secure else False
    except OSError as error:
        raise Misconfigured(
            f"The certificates in {settings.kubernetes_ca_file} can't be read: {error}.",
            remedy="Run it in a pod that mounts a service account, or set AF_KUBERNETES_CA_FILE.",
        ) from error
    async with httpx.AsyncClient(
        base_url=settings.kubernetes_url, timeout=settings.kubernetes_timeout_s, verify=verify
    ) as client:
        yield Pods(client, namespace=settings.kubernetes_namespace, token=settings.kubernetes_token_file)
