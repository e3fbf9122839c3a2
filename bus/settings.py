"""How a process reaches NATS and how long it waits; every setting is read from the environment once."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class BusSettings(BaseSettings):
    """Variables are prefixed with `AF_`: `AF_NATS_URL`, `AF_ACK_WAIT_S`, ..."""

    model_config = SettingsConfigDict(env_prefix="AF_", frozen=True, extra="ignore")

    nats_url: str = Field(default="nats://127.0.0.1:4222", description="NATS servers, comma-separated")
    nats_credentials: Path | None = Field(default=None, description="a .creds file (JWT and nkey seed)")
    connect_timeout_s: float = Field(default=10.0, gt=0, description="how long start-up waits for NATS")
    publish_timeout_s: float = Field(
        default=5.0, gt=0, description="how long one publish waits for the store"
    )
    ack_wait_s: float = Field(default=30.0, gt=0, description="a message is redelivered after this silence")
    max_deliver: int = Field(default=9, ge=2, description="attempts before a message goes to the DLQ")
    heartbeat_cap_s: float = Field(
        default=900.0, gt=0, description="longest time one message may be worked on"
    )
