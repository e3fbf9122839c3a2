"""How a process reaches NATS and how long it waits; every setting is read from the environment once."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class BusSettings(BaseSettings):
    """Variables are prefixed with `AF_`: `AF_NATS_URL`, `AF_ACK_WAIT_S`, ..."""

    model_config = SettingsConfigDict(env_prefix="AF_", frozen=True, extra="ignore")

    nats_url: str = Field(default="nats://127.0.0.1:4222", description="NATS servers, comma-separated")
    nats_nkey_file: Path | None = Field(default=None, description="file with the nkey seed of our role")
    nats_credentials: Path | None = Field(
        default=None, description="a .creds file (JWT and nkey seed), instead of a seed"
    )
    nats_inbox_prefix: str = Field(
        default="_INBOX",
        description="what reply subjects begin with; `_INBOX.<role>` for a role of the fleet",
    )
    nats_tls_ca: Path | None = Field(
        default=None, description="certificates that sign the server's; default: those of the system"
    )
    nats_tls_cert: Path | None = Field(
        default=None, description="our certificate, if the server asks for one"
    )
    nats_tls_key: Path | None = Field(default=None, description="the private key of our certificate")
    nats_tls_hostname: str = Field(
        default="", description="name to find in the server's certificate; default: the host of the URL"
    )
    nats_tls_first: bool = Field(
        default=False, description="encrypt before the server's first word (its `handshake_first`)"
    )
    connect_timeout_s: float = Field(default=10.0, gt=0, description="how long start-up waits for NATS")
    publish_timeout_s: float = Field(
        default=5.0, gt=0, description="how long one publish waits for the store"
    )
    ack_wait_s: float = Field(default=30.0, gt=0, description="a message is redelivered after this silence")
    max_deliver: int = Field(default=9, ge=2, description="attempts before a message goes to the DLQ")
    heartbeat_cap_s: float = Field(
        default=900.0, gt=0, description="longest time one message may be worked on"
    )
    shared_queues: bool = Field(
        default=False,
        description="for `bus.provision`: workers of neighbouring clusters may take what ours leave waiting",
    )
