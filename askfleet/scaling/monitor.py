"""Reads lags where KEDA's `nats-jetstream` scaler reads them: nats-server's monitoring endpoint, `/jsz`.

Read in KEDA's pkg/scalers/nats_jetstream_scaler.go: of the named consumer, `num_pending + num_ack_pending`.
"""

from collections.abc import Mapping, Sequence

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from askfleet.scaling.scaled_object import Trigger
from contracts.errors import DependencyUnavailable

TIMEOUT_S = 3.0
"""KEDA's own default for HTTP."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Consumer(_View):
    name: str
    num_pending: int = 0
    num_ack_pending: int = 0


class _Stream(_View):
    name: str
    consumer_detail: tuple[_Consumer, ...] = ()


class _Account(_View):
    name: str
    stream_detail: tuple[_Stream, ...] = ()


class _Jsz(_View):
    account_details: tuple[_Account, ...] = ()


class QueueMonitor:
    """One nats-server without a cluster; `url` is that of its monitoring port."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url

    async def lags(self, triggers: Sequence[Trigger]) -> Mapping[str, int]:
        """By the names of the triggers, which are of one account.

        Raises:
            DependencyUnavailable: no answer, or no such consumer, which is an error since KEDA 2.20.
        """
        found = await self._read(triggers[0].account)
        lags = {}
        for trigger in triggers:
            consumer = found.get((trigger.account, trigger.stream, trigger.consumer))
            if consumer is None:
                raise DependencyUnavailable(
                    f"{self._url} knows no consumer {trigger.consumer!r} of stream {trigger.stream!r} "
                    f"in account {trigger.account!r}."
                )
            lags[trigger.name] = consumer.num_pending + consumer.num_ack_pending
        return lags

    async def _read(self, account: str) -> dict[tuple[str, str, str], _Consumer]:
        try:
            response = await self._client.get(
                f"{self._url}/jsz", params={"acc": account, "consumers": "true", "config": "true"}
            )
            response.raise_for_status()
            answer = _Jsz.model_validate_json(response.content)
        except (httpx.HTTPError, ValidationError) as error:
            raise DependencyUnavailable(f"{self._url}/jsz can't be read: {error!r}.") from error
        return {
            (details.name, stream.name, consumer.name): consumer
            for details in answer.account_details
            for stream in details.stream_detail
            for consumer in stream.consumer_detail
        }
