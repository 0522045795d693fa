"""Put a producer together: ledger, Celery application, doorbell and client.

`holdfast.connect` stands here and not in a module called connect, since a
module of that name would take the function's place in the package.
"""

import asyncio
import logging
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

from holdfast import celeryconfig, ledger
from holdfast.jobs.errors import LedgerUnavailable, SettingsError
from holdfast.resilience.sharing import share
from holdfast.settings import Settings, load
from holdfast.tasks import application, chain_task, results
from holdfast.tasks.ambient import use
from holdfast.tasks.client import Bell, Client
from holdfast.tasks.doorbell import Doorbell, SilentBell

_SQLITE: Final = "sqlite:///"
_KNOWN: Final = chain_task.chain
"""Known by its import: every chain is enqueued as a job of this task."""

_log: Final = logging.getLogger(__name__)


def connect(settings: Settings | None = None) -> "Connecting":
    """Connect to the ledger and the broker that the settings name, for the length of a block.

    `async with holdfast.connect() as client:` or `with holdfast.connect() as
    client:`; inside, `task.enqueue(...)` uses this client. Without settings
    they are loaded from the environment, `.env` and the secrets folder.

    The block's begin raises SettingsError, LedgerUnavailable or
    SchemaMismatch (run `holdfast migrate`). A broker that is down raises
    nothing: jobs are written, and ring when it is back; so does an embedded
    broker that nobody runs at the moment. The end sends the
    last rings, for half a second at most.
    """
    return Connecting(settings)


def require_ledger(settings: Settings) -> None:
    """Raise LedgerUnavailable, and say what to do, where no embedded platform has ever run."""
    path = settings.ledger_config().url.removeprefix(_SQLITE)
    if settings.has_embedded_database and not Path(path).exists():
        raise LedgerUnavailable(
            detail=f"there is none in {settings.data_path} yet",
            hint="Start `holdfast up` in this folder, or name the one that you mean in HOLDFAST_DATA_DIR.",
        )


class Connecting:
    """A connection that opens and closes with its block, of either colour. To be used once."""

    def __init__(self, settings: Settings | None) -> None:
        """Remember the settings; nothing is read or opened yet."""
        self._settings = settings
        self._parts = ExitStack()
        self._ambient = ExitStack()

    def __enter__(self) -> Client:
        return self._ambient.enter_context(use(self._open()))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ambient.close()
        self._parts.close()

    async def __aenter__(self) -> Client:
        client = await asyncio.to_thread(self._open)
        return self._ambient.enter_context(use(client))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ambient.close()
        await asyncio.to_thread(self._parts.close)

    def _open(self) -> Client:
        settings = self._settings or load()
        require_ledger(settings)
        with ExitStack() as parts:
            truth = ledger.connect(settings.ledger_config("holdfast-client"))
            parts.callback(truth.close)
            bell = self._bell(settings, truth.ledger_id, parts)
            client = Client(truth, bell, arguments_largest_bytes=settings.arguments_largest_bytes)
            parts.callback(client.close)
            parts.callback(results.use_ledger, results.use_ledger(truth))
            share(settings.shared_state(), namespace=settings.namespace)
            self._parts = parts.pop_all()
        return client

    @staticmethod
    def _bell(settings: Settings, ledger_id: str, parts: ExitStack) -> Bell:
        try:
            broker = settings.broker()
        except SettingsError as error:
            if not settings.has_embedded_broker:
                raise
            # Enqueue needs only the database; whoever starts the broker finds the jobs there.
            _log.info("jobs are written and do not ring: %s", error.detail)
            return SilentBell()
        app = application.make_app("holdfast-client", celeryconfig.config(settings))
        parts.callback(app.close)
        return Doorbell(
            app,
            ledger_id=ledger_id,
            queue_prefix=settings.names.queue_prefix,
            quorum=broker.kind == "rabbitmq",
        )
