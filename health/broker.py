"""Whether the broker can be reached, now, by a connection made for the purpose."""

import contextlib
import time
from typing import Any, Final, Protocol, cast
from urllib.parse import urlsplit

from celery import Celery
from kombu import Connection
from kombu.exceptions import OperationalError

from holdfast.health.check import describe
from holdfast.health.report import ComponentReport, Status
from holdfast.health.threads import OneAtATime
from holdfast.jobs.errors import BrokerUnavailable

DEFAULT_TIMEOUT_SECONDS: Final = 2.0
_NAMES: Final = {
    "redis": "redis", "rediss": "redis", "sentinel": "redis", "valkey": "redis", "valkeys": "redis",
    "amqp": "rabbitmq", "amqps": "rabbitmq", "pyamqp": "rabbitmq", "py-amqp": "rabbitmq",
}  # fmt: skip


class _Closes(Protocol):
    def close(self) -> object: ...


class BrokerCheck:
    """PING on Redis, a connection and a channel on RabbitMQ; a new connection at each check.

    A pooled one could be long dead without knowing, and the check would wait for its turn in the pool.
    """

    def __init__(self, app: Celery, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Take addresses, TLS and users from the app's settings; `timeout_seconds` is for each step."""
        self.name = broker_name(app)
        self._app = app
        self._timeout_seconds = timeout_seconds
        self._measure = OneAtATime(self.measure, name=f"holdfast-check-{self.name}")

    async def check(self) -> ComponentReport:
        """Measure on a thread."""
        return await self._measure()

    def measure(self) -> ComponentReport:
        """Connect and ask; raises BrokerUnavailable."""
        started = time.monotonic()
        try:
            with impatient_connection(self._app, timeout_seconds=self._timeout_seconds) as connection:
                said = _greet(connection)
        except connection_errors(self._app) as error:
            raise BrokerUnavailable(detail=describe(error)) from error
        return ComponentReport(Status.HEALTHY, 1000 * (time.monotonic() - started), said)


def broker_name(app: Celery) -> str:
    """Name the broker as reports do: `redis` or `rabbitmq`; another transport's scheme as it is."""
    scheme = urlsplit(_first_url(app)).scheme
    return _NAMES.get(scheme, scheme or "broker")


def impatient_connection(app: Celery, *, timeout_seconds: float) -> Connection:
    """Make an unused connection as the app would, but one that gives up soon.

    The caller closes it. Connecting happens at the first use.
    """
    options: dict[str, Any] = dict(app.conf.broker_transport_options or {})
    return app.connection_for_write(
        connect_timeout=timeout_seconds,
        heartbeat=0,
        transport_options=options | _impatience(broker_name(app), timeout_seconds),
    )


def connection_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """Return the exceptions by which the transport says that the broker cannot be used."""
    connection = app.connection_for_write()
    try:
        return (OSError, OperationalError, *connection.connection_errors, *connection.channel_errors)
    finally:
        connection.close()


def _impatience(name: str, timeout_seconds: float) -> dict[str, Any]:
    if name == "redis":
        return {
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            "retry_on_timeout": False,
        }
    if name == "rabbitmq":
        return {"read_timeout": timeout_seconds, "write_timeout": timeout_seconds}
    return {}


def _greet(connection: Connection) -> str:
    connection.ensure_connection(max_retries=0)  # kombu's own default is to try again after 2 s
    channel = connection.channel()
    with contextlib.closing(cast("_Closes", channel)):
        client = getattr(channel, "client", None)
        if client is None:
            return "connected, channel opened"
        client.ping()
        return "answered PING"


def _first_url(app: Celery) -> str:
    url = cast("str | list[str]", app.conf.broker_write_url or "")
    return (url if isinstance(url, str) else url[0]).split(";")[0]
