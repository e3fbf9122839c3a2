"""nats-py's client, quicker to read headers (docs/adr/0008-header-parsing.md) and to notice lost requests."""

from typing import Any

from nats.aio.client import Client
from nats.errors import ConnectionReconnectingError

_SPACE = " \t\n\r\v\f"


class LeanClient(Client):
    """Each message that a stream stored carries four or more headers, and each process reads them."""

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """`Name: Value` by line, as nats-py reads them; a name that is not one ASCII word is left out."""
        found: dict[str, str] = {}
        for line in raw.decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            name = name.strip(_SPACE)
            if colon and name.isascii() and len(name.split()) < 2:
                found[name] = value.strip(_SPACE)
        return found

    async def _send_publish(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super()._send_publish(*args, **kwargs)
        except RuntimeError as error:
            # uvloop's word for a write to a connection that was closed and is not yet missed.
            raise ConnectionReconnectingError from error

    def give_up_requests(self) -> None:
        """What was asked over a connection that is gone is never answered: who waits for it learns so now.

        Who asks again may be heard as soon as the server is back, instead of after the whole timeout.
        """
        for waiting in list(self._resp_map.values()):
            if not waiting.done():
                waiting.set_exception(ConnectionReconnectingError())
