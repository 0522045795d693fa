"""Flower from the settings: the composition root of `celery -A holdfast.workers.app flower`."""

from importlib import import_module
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from holdfast.monitoring.flower.invocation import FlowerDefaults, is_invoked
from holdfast.settings import Settings

_DEFAULTS: Final = "holdfast.monitoring.flower.defaults"


def prepare_if_invoked(settings: Settings) -> None:
    """Give Flower our defaults if this process is going to be Flower; else do nothing.

    To be called while the app's module is loaded: later the options have been read.
    """
    if is_invoked():
        # By name, since importing Flower costs every worker five megabytes.
        import_module(_DEFAULTS).prepare(defaults_from(settings))


def defaults_from(settings: Settings) -> FlowerDefaults:
    """Turn the settings into what Flower needs."""
    password = settings.flower_password
    return FlowerDefaults(
        host=settings.flower_host,
        port=settings.flower_port,
        user=settings.flower_user,
        password=password.get_secret_value() if password else None,
        most_tasks=settings.flower_tasks_most,
        most_workers=settings.flower_workers_most,
        secrets=secrets_of(settings),
    )


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return every exact value that may be shown nowhere: passwords, alone and inside of addresses."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    texts = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    inside = [password for text in texts if "://" in text and (password := urlsplit(text).password)]
    alone = [text for text in texts if "://" not in text and text != "embedded"]
    return tuple({*alone, *inside, *(unquote(password) for password in inside)})
