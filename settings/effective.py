"""The settings as people see them: what holds, secrets masked, and where each value came from."""

from dataclasses import dataclass
from typing import cast

from pydantic import SecretStr

from holdfast.jobs.errors import SettingsError
from holdfast.settings.model import GROUPS, Settings, variable_of
from holdfast.settings.provenance import Source
from holdfast.settings.urls import MASK, masked

UNSET = "-"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as it holds now."""

    group: str
    variable: str
    value: str
    source: Source


def effective(settings: Settings) -> list[Row]:
    """Return every setting in reading order; nothing secret is in it."""
    resolved = _resolved(settings)
    return [
        Row(
            group=(group.__doc__ or "").strip().rstrip("."),
            variable=variable_of(field),
            value=resolved.get(field) or _plain(getattr(settings, field)),
            source=settings.source_of(field),
        )
        for group in GROUPS
        for field in group.model_fields
    ]


def _resolved(settings: Settings) -> dict[str, str]:
    """Return what holds where a setting leaves it open."""
    return {
        "database_url": _database(settings),
        "broker_url": _broker(settings),
        "intake_queue": settings.names.intake_queue,
        "adoption": str(settings.adopts).lower(),
        "data_dir": str(settings.data_path),
        "probe_heartbeat_file": str(settings.heartbeat_path),
        "spool_dir": str(settings.spool_path),
    }


def _plain(value: object) -> str:
    match value:
        case None | ():
            return UNSET
        case SecretStr():
            return MASK
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.12g}"
        case tuple():
            return ",".join(str(item) for item in cast("tuple[object, ...]", value))
        case _:
            return str(value)


def _database(settings: Settings) -> str:
    url = masked(settings.resolved_database_url())
    return f"embedded: {url}" if settings.has_embedded_database else url


def _broker(settings: Settings) -> str:
    prefix = "embedded: " if settings.has_embedded_broker else ""
    try:
        return f"{prefix}{masked(settings.broker().url)}"
    except SettingsError:
        return f"{prefix}not running"
    except ValueError:  # the report says what is wrong with it
        return masked(settings.broker_url.get_secret_value())
