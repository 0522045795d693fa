"""Whether the addresses can be used at all."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from holdfast.settings import broker as brokers
from holdfast.settings.model import Settings, variable_of
from holdfast.settings.report import Finding

_DATABASES = ("sqlite", "postgresql", "postgresql+psycopg")
_EXAMPLE = "Write postgresql://user:password@host/name, or sqlite:////path."


def address_errors(settings: Settings) -> Iterator[Finding]:
    """Find addresses that no client could use, and files that are not there."""
    yield from _database(settings)
    yield from _broker(settings)
    yield from _shared_state(settings)
    for field in ("broker_tls_ca_file", "broker_tls_cert_file", "broker_tls_key_file"):
        path: Path | None = getattr(settings, field)
        if path is not None and not path.is_file():
            yield Finding(variable_of(field), f"there is no file {path}", "Name a PEM file that we can read.")
    if settings.broker_tls_key_file and not settings.broker_tls_cert_file:
        yield Finding(
            "HOLDFAST_BROKER_TLS_KEY_FILE",
            "is a key without a certificate",
            "Set HOLDFAST_BROKER_TLS_CERT_FILE.",
        )


def _database(settings: Settings) -> Iterator[Finding]:
    variable = "HOLDFAST_DATABASE_URL"
    if settings.has_embedded_database:
        return
    scheme, separator, rest = settings.database_url.get_secret_value().partition("://")
    if not separator or scheme not in _DATABASES:
        begins = f"begins with {scheme}://" if separator else "is no address"
        yield Finding(variable, f"{begins}, which is no database of ours", _EXAMPLE)
    elif scheme == "sqlite" and not rest.strip("/"):
        yield Finding(variable, "names no file; a database in memory would forget every job", _EXAMPLE)
    elif scheme == "sqlite" and settings.database_password:
        yield Finding("HOLDFAST_DATABASE_PASSWORD", "SQLite has no password", "Take it away.")
    elif scheme != "sqlite":
        yield from _postgresql(variable, settings.database_url.get_secret_value())


def _postgresql(variable: str, url: str) -> Iterator[Finding]:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        yield Finding(
            variable,
            "cannot be taken apart; a special character in it is not quoted",
            "Write @ as %40, / as %2F and so on.",
        )
        return
    if len(parts.path) < len("/x"):
        yield Finding(variable, "names no database", _EXAMPLE)


def _shared_state(settings: Settings) -> Iterator[Finding]:
    if settings.shared_state_url is None:
        return
    try:
        settings.parsed_shared_state()
    except ValueError as error:
        yield Finding("HOLDFAST_SHARED_STATE_URL", str(error), "Write redis://user:password@host:6379/1.")


def _broker(settings: Settings) -> Iterator[Finding]:
    if settings.has_embedded_broker:
        if settings.broker_password:
            yield Finding(
                "HOLDFAST_BROKER_PASSWORD",
                "the embedded broker makes its own password",
                "Take it away, or set HOLDFAST_BROKER_URL.",
            )
        return
    try:
        brokers.parse(settings.broker_url.get_secret_value())
    except ValueError as error:
        yield Finding(
            "HOLDFAST_BROKER_URL",
            str(error),
            "Write redis://user:password@host:6379/0 or amqp://user:password@host/vhost.",
        )
