"""Our defaults for Flower's options, put in place while the app's module is being loaded.

`celery -A holdfast.workers.app flower` loads our app before Flower reads its environment and its
command line, so what we set here holds unless somebody says otherwise there: FLOWER_* variables,
a `flowerconfig.py` and options win, in Flower's own order. The one thing that cannot be
switched off is that Flower asks who you are.
"""

import functools
import secrets
from typing import Any, Final

import flower.command  # type: ignore[import-untyped]  # Flower has no types
from flower.options import options  # type: ignore[import-untyped]  # Flower has no types

from holdfast.monitoring.flower.application import SafeFlower
from holdfast.monitoring.flower.invocation import FlowerDefaults

DAY_SECONDS: Final = 86_400
_PASSWORD_BYTES: Final = 18


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
