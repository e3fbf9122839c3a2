"""nats-py's client with a quicker way to read headers: docs/adr/0008-header-parsing.md."""

from nats.aio.client import Client

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
