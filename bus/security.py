"""How a process proves who it is to NATS, and how it knows the server: nkey or .creds, and TLS."""

import ssl
from pathlib import Path

import structlog
from faststream.nats.security import NatsCredentials, NatsNKey, NatsSecurity

from bus.keys import public_key
from bus.settings import BusSettings
from contracts.errors import Misconfigured

log = structlog.get_logger(__name__)

OTHERS_MAY = 0o007


def security(settings: BusSettings) -> NatsSecurity:
    """Raises Misconfigured when a file is missing or is not what it should be."""
    if settings.nats_nkey_file is not None and settings.nats_credentials is not None:
        raise Misconfigured(
            "AF_NATS_NKEY_FILE and AF_NATS_CREDENTIALS are both set.", remedy="Leave one of them out."
        )
    made = _identity(settings)
    made.ssl_context = tls_context(settings)
    made.tls_hostname = settings.nats_tls_hostname or None
    made.tls_handshake_first = settings.nats_tls_first
    return made


def _identity(settings: BusSettings) -> NatsSecurity:
    if settings.nats_nkey_file is not None:
        _check_seed(settings.nats_nkey_file)
        return NatsNKey(settings.nats_nkey_file)
    if settings.nats_credentials is not None:
        if not settings.nats_credentials.is_file():
            raise Misconfigured(
                f"There is no file {settings.nats_credentials}.", remedy="Correct AF_NATS_CREDENTIALS."
            )
        return NatsCredentials(str(settings.nats_credentials))
    return NatsSecurity()


def tls_context(settings: BusSettings) -> ssl.SSLContext | None:
    """None when nothing asks for TLS."""
    files = (settings.nats_tls_ca, settings.nats_tls_cert, settings.nats_tls_key)
    if not any(files) and not settings.nats_tls_first and "tls://" not in settings.nats_url:
        return None
    if (settings.nats_tls_cert is None) != (settings.nats_tls_key is None):
        raise Misconfigured("AF_NATS_TLS_CERT and AF_NATS_TLS_KEY belong together.", remedy="Set both.")
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.nats_tls_ca)
        if settings.nats_tls_cert is not None and settings.nats_tls_key is not None:
            context.load_cert_chain(settings.nats_tls_cert, settings.nats_tls_key)
    except OSError as error:  # ssl.SSLError is one
        named = ", ".join(str(path) for path in files if path is not None)
        raise Misconfigured(
            f"The TLS files {named} can't be used: {error}.",
            remedy="AF_NATS_TLS_CA, AF_NATS_TLS_CERT and AF_NATS_TLS_KEY name PEM files that fit together.",
        ) from error
    return context


def _check_seed(path: Path) -> None:
    public_key(path)
    if path.stat().st_mode & OTHERS_MAY:
        log.warning(
            "everybody on this machine may read the seed; close it with chmod 600",
            action="seed_open",
            file=str(path),
        )


def who(settings: BusSettings) -> str:
    """The credentials in a message to people: never more than the public key."""
    if settings.nats_nkey_file is not None:
        return f"the key {public_key(settings.nats_nkey_file)} of {settings.nats_nkey_file}"
    if settings.nats_credentials is not None:
        return f"the credentials {settings.nats_credentials}"
    return "no credentials"
