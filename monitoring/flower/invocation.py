"""Whether this process is going to be Flower, and what it is to be told. Imports nothing of Flower."""

from dataclasses import dataclass
from typing import Final

import click

SUBCOMMAND: Final = "flower"


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
