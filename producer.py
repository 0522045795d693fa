"""Put a producer together: ledger, Celery application, doorbell and client.

`holdfast.connect` stands here and not in a module called connect, since a
module of that name would take the function's place in the package.
"""

import asyncio
from contextlib import ExitStack
from types import TracebackType

from holdfast import celeryconfig, ledger
from holdfast.settings import Settings, load
from holdfast.tasks import application, results
from holdfast.tasks.ambient import use
from holdfast.tasks.client import Client
from holdfast.tasks.doorbell import Doorbell


def connect(settings: Settings | None = None) -> "Connecting":
    """Connect to the ledger and the broker that the settings name, for the length of a block.

    `async with holdfast.connect() as client:` or `with holdfast.connect() as
    client:`; inside, `task.enqueue(...)` uses this client. Without settings
    they are loaded from the environment, `.env` and the secrets folder.

    The block's begin raises SettingsError, LedgerUnavailable or
    SchemaMismatch (run `holdfast migrate`). A broker that is down raises
    nothing: jobs are written, and ring when it is back. The end sends the
    last rings, for half a second at most.
    """
    return Connecting(settings)


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
        broker = settings.broker()
        with ExitStack() as parts:
            truth = ledger.connect(settings.ledger_config("holdfast-client"))
            parts.callback(truth.close)
            app = application.make_app("holdfast-client", celeryconfig.config(settings))
            parts.callback(app.close)
            doorbell = Doorbell(
                app,
                ledger_id=truth.ledger_id,
                queue_prefix=settings.names.queue_prefix,
                quorum=broker.kind == "rabbitmq",
            )
            client = Client(truth, doorbell, arguments_largest_bytes=settings.arguments_largest_bytes)
            parts.callback(client.close)
            parts.callback(results.use_ledger, results.use_ledger(truth))
            self._parts = parts.pop_all()
        return client
