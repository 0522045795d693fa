"""Who else could listen, or come in."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from holdfast.settings import broker as brokers
from holdfast.settings.model import Settings
from holdfast.settings.report import Finding
from holdfast.settings.urls import is_loopback

_ENCRYPTED = ("require", "verify-ca", "verify-full")
_VERIFIED = ("verify-ca", "verify-full")


def exposure_warnings(settings: Settings) -> Iterator[Finding]:
    """Find connections without password or encryption, and pages that others can reach."""
    yield from _broker(settings)
    yield from _database(settings)
    if not is_loopback(settings.flower_host) and settings.flower_password is None:
        yield Finding(
            "HOLDFAST_FLOWER_PASSWORD",
            f"Flower can be reached from outside ({settings.flower_host}) and has no password of its own",
            "Set it, or HOLDFAST_FLOWER_HOST=127.0.0.1.",
        )


def _broker(settings: Settings) -> Iterator[Finding]:
    if settings.has_embedded_broker:
        return
    try:
        broker = settings.broker()
    except ValueError:  # address_errors says what is wrong with it
        return
    if not broker.has_password and not _is_socket(broker):
        yield Finding(
            "HOLDFAST_BROKER_URL",
            "the broker asks for no password",
            "Add a user and password to the URL, or set HOLDFAST_BROKER_PASSWORD.",
            matters_in="production",
        )
    if not broker.is_local and broker.tls is None:
        secure = "rediss" if broker.kind == "redis" else "amqps"
        yield Finding(
            "HOLDFAST_BROKER_URL",
            f"the connection to {broker.host} is not encrypted",
            f"Begin it with {secure}://.",
            matters_in="production",
        )
    if broker.tls is not None and not (broker.tls.verifies and broker.tls.checks_host):
        yield Finding(
            "HOLDFAST_BROKER_URL",
            "TLS does not verify the broker, so anyone could stand in for it",
            "Take ssl_cert_reqs and ssl_check_hostname away and set HOLDFAST_BROKER_TLS_CA_FILE.",
        )


def _is_socket(broker: brokers.Broker) -> bool:
    return broker.host is None


def _database(settings: Settings) -> Iterator[Finding]:
    url = settings.resolved_database_url()
    if not url.startswith("postgresql"):
        return
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:  # address_errors says what is wrong with it
        return
    query = parse_qs(parts.query)
    host = host or next(iter(query.get("host", [])), None)
    if host is None or host.startswith("/") or is_loopback(host):
        return
    mode = next(iter(query.get("sslmode", [])), "")
    if mode not in _ENCRYPTED:
        yield Finding(
            "HOLDFAST_DATABASE_URL",
            f"the connection to {host} may go unencrypted",
            "Add ?sslmode=verify-full&sslrootcert=/path/to/ca.pem.",
            matters_in="production",
        )
    elif mode not in _VERIFIED:
        yield Finding(
            "HOLDFAST_DATABASE_URL",
            f"TLS does not verify {host}, so anyone could stand in for it",
            "Use sslmode=verify-full with sslrootcert=/path/to/ca.pem.",
            matters_in="production",
        )
