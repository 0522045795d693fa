"""Where the ledger is and how patient its connections are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.jobs.backlog import BacklogLimit
from holdfast.jobs.claim_check import DEFAULT_INLINE_BYTES
from holdfast.jobs.job import DEFAULT_TOTAL_AGE_SECONDS


@dataclass(frozen=True, slots=True)
class LedgerConfig:
    """Plain values; the settings build it, the ledger never reads the environment."""

    url: str
    """`postgresql+psycopg://...` (`postgresql://` is taken as that) or `sqlite:///path`."""
    schema: str | None = None
    """PostgreSQL schema that holds the tables: the namespace. None is the connection's own."""
    pool_size: int = 5
    """Connections kept open; handlers' own transactions have a second pool of the same size."""
    pool_overflow: int = 5
    """Connections opened beyond `pool_size` under load, and closed after use."""
    pool_timeout_seconds: float = 5.0
    """How long a caller waits for a free connection before LedgerUnavailable."""
    connect_timeout_seconds: float = 5.0
    statement_timeout_seconds: float = 30.0
    """PostgreSQL ends a statement that takes longer."""
    lock_timeout_seconds: float = 10.0
    """How long a statement waits for another transaction's lock; on SQLite, for the other writer."""
    idle_transaction_seconds: int = 60
    """PostgreSQL ends a transaction in which nothing happens for so long: who is frozen keeps no locks."""
    total_age_seconds: float = DEFAULT_TOTAL_AGE_SECONDS
    """A job that is not final so long after it was due is quarantined."""
    attempt_grace_seconds: float = 30.0
    """How long after its hard timeout an attempt may still run before the rescuer takes the job."""
    backlog_limits: Mapping[str, BacklogLimit] = field(default_factory=dict[str, BacklogLimit])
    """By queue, `*` for all others: where so many jobs wait, enqueue raises QueueFull."""
    payload_inline_bytes: int = DEFAULT_INLINE_BYTES
    """Arguments and results of more UTF-8 bytes stand in a table of their own, not in their job's row."""
    transaction_pooler: bool = False
    """The address leads to a pooler that changes the server's connection after each transaction, as
    PgBouncer does with `pool_mode = transaction`. Costs a round trip for each transaction."""
    application_name: str = "holdfast"
    """Shown in pg_stat_activity."""
    sqlite_now: Callable[[], datetime] | None = None
    """On SQLite, what its clock shows: for tests, which move it. None is the machine's clock."""
