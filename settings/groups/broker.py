"""Where the doorbell hangs."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from holdfast.settings.embedded import EMBEDDED


class BrokerFields(BaseModel):
    """Broker."""

    broker_url: SecretStr = Field(
        default=SecretStr(EMBEDDED),
        description="`redis://user:password@host/0`, `rediss://` (TLS), `redis+socket:///path`, "
        "`amqp://user:password@host/vhost`, `amqps://`, or `embedded`: the server that `holdfast up` runs.",
    )
    broker_password: SecretStr | None = Field(
        default=None,
        description="Password of the broker, if it shall not stand in the URL; wins over the URL's.",
    )
    broker_tls_ca_file: Path | None = Field(
        default=None, description="PEM file of the authority to trust; unset: the system's authorities."
    )
    broker_tls_cert_file: Path | None = Field(
        default=None, description="PEM file of our certificate, if the broker asks for one."
    )
    broker_tls_key_file: Path | None = Field(default=None, description="PEM file of our certificate's key.")
    broker_connect_timeout_seconds: float = Field(
        default=4.0, gt=0, le=60, description="Longest wait for a new connection."
    )
    broker_socket_timeout_seconds: float = Field(
        default=5.0,
        ge=2,
        le=120,
        description="Longest wait for an answer on an open connection; blocking reads last 1 s.",
    )
    broker_heartbeat_seconds: int = Field(
        default=20,
        ge=2,
        le=600,
        description="Heartbeat of AMQP; for Redis the pause between health checks of idle connections.",
    )
    broker_reconnect_longest_seconds: float = Field(
        default=2.0,
        ge=0.1,
        le=60,
        description="Longest pause between attempts to reconnect; attempts never end.",
    )
    broker_visibility_seconds: int = Field(
        default=600,
        ge=60,
        le=86400,
        description="When a message of the intake queue whose reader died is delivered again (Redis).",
    )
