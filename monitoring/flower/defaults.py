"""Our defaults for Flower's options, put in place while the app's module is being loaded.

`celery -A holdfast.workers.app flower` loads our app before Flower reads its environment and its
command line, so what we set here holds unless somebody says otherwise there: FLOWER_* variables,
a `flowerconfig.py` and options win, in Flower's own order. The one thing that cannot be
switched off is that Flower asks who you are.
"""

import functools
import secrets
from dataclasses import dataclass
from typing import Any, Final

import click
import flower.command  # type: ignore[import-untyped]  # Flower has no types
from flower.options import options  # type: ignore[import-untyped]  # Flower has no types

from holdfast.monitoring.flower.application import SafeFlower

SUBCOMMAND: Final = "flower"
DAY_SECONDS: Final = 86_400
_PASSWORD_BYTES: Final = 18


@dataclass(frozen=True, slots=True)
class FlowerDefaults:
    """What Flower does unless it is told otherwise."""

    host: str = "127.0.0.1"
    port: int = 5555
    user: str = "holdfast"
    password: str | None = None
    """None: one is made up at each start and printed once."""
    most_tasks: int = 5_000
    """Kept in memory, about 9 kB each."""
    most_workers: int = 1_000
    secrets: tuple[str, ...] = ()
    """Exact values that no page may show, such as the broker's password."""


def is_invoked() -> bool:
    """Tell whether this process is `celery ... flower`, while the app's module is being loaded."""
    context = click.get_current_context(silent=True)
    return context is not None and context.find_root().invoked_subcommand == SUBCOMMAND


def prepare(defaults: FlowerDefaults) -> None:
    """Set the options, and let the command build our Flower instead of the stock one."""
    password = defaults.password or secrets.token_urlsafe(_PASSWORD_BYTES)
    login = f"{defaults.user}:{password}"
    wanted: dict[str, Any] = {
        "address": defaults.host,
        "port": defaults.port,
        "basic_auth": [login],
        "max_tasks": defaults.most_tasks,
        "max_workers": defaults.most_workers,
        "purge_offline_workers": DAY_SECONDS,
        "persistent": False,
    }
    for name, value in wanted.items():
        setattr(options, name, value)
    flower.command.Flower = functools.partial(
        SafeFlower,
        login=login,
        is_made_up=defaults.password is None,
        secrets=(*defaults.secrets, password),
    )
