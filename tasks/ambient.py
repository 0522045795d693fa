"""Which client `task.enqueue` uses when it is told none."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from holdfast.jobs.errors import SettingsError
from holdfast.tasks.client import Client

_here: Final[ContextVar[Client | None]] = ContextVar("holdfast_client", default=None)
_installed: Final[list[Client]] = []
_lock: Final = threading.Lock()


@contextmanager
def use(client: Client) -> Generator[Client]:
    """Make a client the one that tasks enqueue with, until the block ends.

    Code called from here sees this client; other threads and tasks of the
    process see the one installed last.
    """
    before = _here.get()
    with _lock:
        _installed.append(client)
    _here.set(client)
    try:
        yield client
    finally:
        with _lock:
            _installed.remove(client)
        # Not by token: an async fixture may end in another context than it began in.
        _here.set(before)


def current_client() -> Client:
    """Return the client in use. Raises SettingsError if there is none."""
    client = _here.get()
    with _lock:
        if client is not None and client in _installed:
            return client
        if _installed:
            return _installed[-1]
    raise SettingsError(
        detail="no client is connected, so there is nowhere to enqueue",
        hint="Wrap the program in `async with holdfast.connect():` (or `with holdfast.connect():`).",
    )
