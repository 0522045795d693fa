"""Enqueue inside a caller's own transaction: the job commits or vanishes with the caller's data.

The only module of this package that knows SQLAlchemy. A ring is only a hint:
whatever is not rung here, the stager rings within a second.
"""

from collections.abc import Callable
from typing import Final, TypeVar, cast

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from holdfast.jobs.errors import InvalidOption

__all__ = [
    "AsyncConnection",
    "AsyncSession",
    "CallerTransaction",
    "Connection",
    "Session",
    "after_commit",
    "write",
    "write_async",
]

T = TypeVar("T")
CallerTransaction = Session | AsyncSession | Connection | AsyncConnection
"""What `session=` takes. Its database must be the ledger's."""

_WAITING: Final = "holdfast.after_commit"


def write(transaction: CallerTransaction, statement: Callable[[Connection], T]) -> T:
    """Run `statement` on the caller's connection; the caller commits.

    Raises InvalidOption for an async session, which only `write_async` can use.
    """
    if isinstance(transaction, Session):
        return statement(transaction.connection())
    if isinstance(transaction, Connection):
        return statement(transaction)
    raise InvalidOption(
        detail=f"session= is {type(transaction).__name__}, which a synchronous call cannot use",
        hint="Use `await task.options(session=...).enqueue(...)`.",
    )


async def write_async(transaction: CallerTransaction, statement: Callable[[Connection], T]) -> T:
    """Do the same for every kind of session; a synchronous one blocks the loop for the one statement."""
    if isinstance(transaction, AsyncSession):
        return await transaction.run_sync(lambda session: statement(session.connection()))
    if isinstance(transaction, AsyncConnection):
        return await transaction.run_sync(statement)
    return write(transaction, statement)


def after_commit(transaction: CallerTransaction, call: Callable[[], None]) -> bool:
    """Call once when the caller's root transaction has committed; say whether that can be known.

    False, and no call, for a bare Connection (its commit event comes before
    the COMMIT), inside a savepoint, and for a session bound to a Connection
    (an outer transaction may still roll back).
    """
    session = transaction.sync_session if isinstance(transaction, AsyncSession) else transaction
    if not isinstance(session, Session) or session.in_nested_transaction():
        return False
    if isinstance(session.get_bind(), Connection):
        return False
    if _WAITING not in session.info:
        # One pair of listeners for the session's life: removing one while it is being called is not safe.
        session.info[_WAITING] = []
        event.listen(session, "after_commit", _committed)
        event.listen(session, "after_transaction_end", _ended)
    _waiting(session).append(call)
    return True


def _committed(session: Session) -> None:
    # Also called at RELEASE SAVEPOINT, when the root transaction may still roll back.
    if session.in_nested_transaction():
        return
    calls = _waiting(session)[:]
    _waiting(session).clear()
    for call in calls:
        call()


def _ended(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        _waiting(session).clear()


def _waiting(session: Session) -> list[Callable[[], None]]:
    return cast("list[Callable[[], None]]", session.info[_WAITING])
