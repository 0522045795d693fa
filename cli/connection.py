"""From the settings to a connected client: what every command that asks something begins with."""

import getpass
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from holdfast import producer
from holdfast.cli.errors import NothingShared, SharedStateUnreachable
from holdfast.jobs.errors import InvalidOption
from holdfast.ledger import Ledger, connect
from holdfast.resilience.breaker.store import RedisStore, StoreLost, store_client
from holdfast.resilience.control import Control
from holdfast.settings import Settings
from holdfast.tasks.client import Client
from holdfast.tasks.modules import load_modules, see_working_directory

SHIPPED_TASKS: Final = "holdfast.tasks.agents"
_NAME: Final = "holdfast-cli"


@dataclass(frozen=True, slots=True)
class Connected:
    """A ledger and a client on it."""

    ledger: Ledger
    client: Client


@contextmanager
def opened_ledger(settings: Settings) -> Generator[Ledger]:
    """Connect to the ledger alone, to read or steer. Raises LedgerUnavailable or SchemaMismatch."""
    producer.require_ledger(settings)
    ledger = connect(settings.ledger_config(_NAME))
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def opened_control(settings: Settings) -> Generator[Control]:
    """Reach what the processes share of upstreams. Raises NothingShared or SharedStateUnreachable."""
    url = settings.shared_state()
    if url is None:
        raise NothingShared
    client = store_client(url)
    try:
        yield Control(RedisStore(client, namespace=settings.namespace), actor=getpass.getuser())
    except StoreLost as error:
        raise SharedStateUnreachable(detail=str(error)) from error
    except ValueError as error:
        raise InvalidOption(detail=str(error)) from error
    finally:
        client.close()


@contextmanager
def connected(settings: Settings, *, must_run: bool = True) -> Generator[Connected]:
    """Connect to ledger and broker, to enqueue.

    `must_run` raises SettingsError when no embedded broker runs: for whoever
    waits for a result. Without it jobs are written and ring at the next start.
    """
    if must_run:
        settings.broker()  # first: without a platform, this is the error that says what to do
    with opened_ledger(settings) as ledger, producer.connect(settings) as client:
        yield Connected(ledger, client)


def load_tasks(settings: Settings) -> None:
    """Import the shipped tasks and the user's, found from the working directory as a worker finds them.

    Raises SettingsError with file and line where a module fails.
    """
    see_working_directory()
    load_modules([SHIPPED_TASKS, *settings.task_modules])
