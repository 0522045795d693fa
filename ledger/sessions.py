"""Transactions for handlers, on pools of their own: a handler that sleeps in one blocks no claim (B30)."""

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Final

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.engine import make_async_engine, make_engine
from holdfast.ledger.translate import translated_outages

Guard = Callable[[], object]
PATIENCE_SECONDS: Final = 24 * 3600.0
"""How long a handler waits for a connection: its own time limits end sooner."""


class Sessions:
    """Makes sessions on the ledger's database; pools are made when first asked for.

    What the database's absence makes of a transaction is LedgerUnavailable,
    which is transient; every other error of a caller's statement is its own.
    """

    def __init__(self, config: LedgerConfig) -> None:
        """Take where the database is; connects to nothing yet."""
        self._config = replace(config, pool_timeout_seconds=PATIENCE_SECONDS)
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine] = (
            weakref.WeakKeyDictionary()
        )

    @contextmanager
    def session(self, before_commit: Guard = bool, *, keeps: bool = True) -> Generator[Session]:
        """Open a session; commits nothing by itself. What `before_commit` raises prevents a commit.

        Without `keeps` a commit is only seen within the session: at its end everything is undone.
        """
        with self._lock:
            if self._engine is None:
                self._engine = make_engine(self._config)
            engine = self._engine
        opened = Session(engine) if keeps else _rehearsed(engine)
        with translated_outages("a transaction of a handler"), opened as session:
            _guard(session, before_commit)
            yield session

    @asynccontextmanager
    async def async_session(
        self, before_commit: Guard = bool, *, keeps: bool = True
    ) -> AsyncGenerator[AsyncSession]:
        """Open a session on the running loop; as `session`."""
        loop = asyncio.get_running_loop()
        with self._lock:
            engine = self._by_loop.get(loop)
            if engine is None:
                engine = self._by_loop[loop] = make_async_engine(self._config)
        with translated_outages("a transaction of a handler"):
            opened = AsyncSession(engine, expire_on_commit=False) if keeps else _rehearsed_async(engine)
            async with opened as session:
                _guard(session.sync_session, before_commit)
                yield session

    async def close_async(self) -> None:
        """Close the running loop's connections; only the loop that opened them can."""
        with self._lock:
            engine = self._by_loop.pop(asyncio.get_running_loop(), None)
        if engine is not None:
            await engine.dispose()

    def close(self) -> None:
        """Close the connections of synchronous sessions."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()


@contextmanager
def _rehearsed(engine: Engine) -> Generator[Session]:
    with engine.connect() as connection:
        around = connection.begin()
        try:
            with Session(connection, join_transaction_mode="create_savepoint") as session:
                yield session
        finally:
            around.rollback()


@asynccontextmanager
async def _rehearsed_async(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    async with engine.connect() as connection:
        around = await connection.begin()
        try:
            async with AsyncSession(
                connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
            ) as session:
                yield session
        finally:
            await around.rollback()


def _guard(session: Session, before_commit: Guard) -> None:
    def ask(session: Session) -> None:
        # The event comes for a savepoint, too, which commits nothing.
        if not session.in_nested_transaction():
            before_commit()

    event.listen(session, "before_commit", ask)
