"""Transactions for handlers, on pools of their own: a handler that sleeps in one blocks no claim (B30)."""

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.engine import make_async_engine, make_engine


class Sessions:
    """Makes sessions on the ledger's database; pools are made when first asked for."""

    def __init__(self, config: LedgerConfig) -> None:
        """Take where the database is; connects to nothing yet."""
        self._config = config
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine] = (
            weakref.WeakKeyDictionary()
        )

    @contextmanager
    def session(self) -> Generator[Session]:
        """Open a session; commits nothing by itself."""
        with self._lock:
            if self._engine is None:
                self._engine = make_engine(self._config)
            engine = self._engine
        with Session(engine) as session:
            yield session

    @asynccontextmanager
    async def async_session(self) -> AsyncGenerator[AsyncSession]:
        """Open a session on the running loop; commits nothing by itself."""
        loop = asyncio.get_running_loop()
        with self._lock:
            engine = self._by_loop.get(loop)
            if engine is None:
                engine = self._by_loop[loop] = make_async_engine(self._config)
        async with AsyncSession(engine, expire_on_commit=False) as session:
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
