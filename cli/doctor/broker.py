"""The broker: can it be reached, and will it keep what it is given."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

import redis
from celery import Celery
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from holdfast import celeryconfig
from holdfast.cli.doctor.verdict import Verdict, failure, fine, note, warning
from holdfast.jobs.errors import SettingsError
from holdfast.settings import Broker, Settings
from holdfast.settings.urls import masked

SUBJECT: Final = "broker"
_USUAL_PORTS: Final = {"redis": 6379, "rabbitmq": 5672}
OLDEST_REDIS: Final = (6, 2)


def look_at_broker(settings: Settings) -> Iterator[Verdict]:
    """Look at the broker over a connection of its own."""
    try:
        broker = settings.broker()
    except SettingsError:
        if settings.is_production:
            yield failure(SUBJECT, "none is named", "export HOLDFAST_BROKER_URL=rediss://...")
        else:
            yield note(SUBJECT, f"the embedded one does not run on {settings.data_path}", "holdfast up")
        return
    except ValueError:
        return  # the settings' report says what is wrong with the address
    if broker.kind == "redis":
        yield from _redis(settings, broker)
    else:
        yield from _rabbitmq(settings, broker)


def _redis(settings: Settings, broker: Broker) -> Iterator[Verdict]:
    client = redis.Redis.from_url(
        broker.redis_url(),
        socket_timeout=settings.broker_socket_timeout_seconds,
        socket_connect_timeout=settings.broker_connect_timeout_seconds,
        decode_responses=True,
        retry=Retry(NoBackoff(), 0),  # one look is enough
    )
    started = time.monotonic()
    with client:
        try:
            client.ping()
        except redis.RedisError as error:
            yield _unreachable(broker, error)
            return
        took_ms = 1000 * (time.monotonic() - started)
        yield from _version(_info(client), took_ms)
        yield from _keeping(_config(client))


def _version(info: Mapping[str, str], took_ms: float) -> Iterator[Verdict]:
    found = info.get("valkey_version") or info.get("redis_version", "of unknown version")
    name = "Valkey" if "valkey_version" in info else "Redis"
    numbers = tuple(int(part) for part in info.get("redis_version", "").split(".")[:2] if part.isdigit())
    if numbers and numbers < OLDEST_REDIS:
        yield failure(
            SUBJECT,
            f"{name} {found} is too old; 6.2 is the oldest that works",
            "sudo apt install redis-server",
        )
    else:
        yield fine(SUBJECT, f"{name} {found}, answered in {took_ms:.0f} ms")


def _keeping(config: Mapping[str, str] | None) -> Iterator[Verdict]:
    if config is None:
        yield note("broker memory", "its configuration may not be read by this user; it should evict nothing")
        return
    policy = config.get("maxmemory-policy", "noeviction")
    if policy == "noeviction":
        yield fine("broker memory", "evicts nothing")
    else:
        yield warning(
            "broker memory",
            f"evicts keys when it is full ({policy})",
            "redis-cli config set maxmemory-policy noeviction",
        )
    if config.get("appendonly") == "yes":
        yield fine("broker disk", "writes an append-only file")
    else:
        yield note(
            "broker disk",
            "keeps no append-only file: a restart forgets messages of plain Celery producers that are not "
            "yet adopted; jobs in the ledger ring again",
            "redis-cli config set appendonly yes",
        )


def _rabbitmq(settings: Settings, broker: Broker) -> Iterator[Verdict]:
    with Celery("holdfast-doctor", set_as_current=False) as app:
        app.conf.update(celeryconfig.config(settings))
        started = time.monotonic()
        with app.connection_for_write() as connection:
            try:
                connection.ensure_connection(max_retries=0)
            except (
                OSError,
                OperationalError,
            ) as error:  # ensure_connection raises what it knows as the latter
                yield _unreachable(broker, error)
                return
            said = cast("Mapping[str, Any]", connection.connection.server_properties)
            took_ms = 1000 * (time.monotonic() - started)
            yield fine(SUBJECT, f"{said.get('product')} {said.get('version')}, connected in {took_ms:.0f} ms")


def _unreachable(broker: Broker, error: BaseException) -> Verdict:
    reason = str(error).partition("\n")[0] or type(error).__name__
    return failure(SUBJECT, f"{masked(broker.url)} cannot be used: {reason}", _remedy(broker, reason.lower()))


def _remedy(broker: Broker, reason: str) -> str:
    if "certificate" in reason or "ssl" in reason:
        return "export HOLDFAST_BROKER_TLS_CA_FILE=/path/to/ca.pem"
    if any(word in reason for word in ("password", "auth", "access_refused", "noperm")):
        return "export HOLDFAST_BROKER_PASSWORD='the right one'"
    if broker.is_local:
        return f"sudo systemctl start {'redis-server' if broker.kind == 'redis' else 'rabbitmq-server'}"
    port = urlsplit(broker.url).port or _USUAL_PORTS[broker.kind]
    return f"nc -zv {broker.host} {port}"


def _info(client: redis.Redis) -> Mapping[str, str]:
    try:
        info = cast("Mapping[str, object]", client.info("server"))
    except redis.ResponseError:  # the user may not ask
        return {}
    return {name: str(value) for name, value in info.items()}


def _config(client: redis.Redis) -> Mapping[str, str] | None:
    try:
        # One by one: several at once need Redis 7.
        answers = [client.config_get(name) for name in ("maxmemory-policy", "appendonly")]
    except redis.ResponseError:  # the user may not ask
        return None
    return {name: text for answer in answers for name, text in cast("dict[str, str]", answer).items()}
