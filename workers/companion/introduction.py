"""What a worker tells its companion: who it is, and how its life is judged."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from holdfast.jobs.backlog import BacklogLimit
from holdfast.jobs.ids import WorkerId
from holdfast.ledger import LedgerConfig


@dataclass(frozen=True, slots=True)
class LifeTerms:
    """How the life of a worker is told and judged; the same for all its introductions."""

    name: str
    beat_seconds: float
    lease_seconds: float
    stall_seconds: float
    """A loop that has not turned for so long is stuck for good."""
    log_as_json: bool
    log_level: str
    ledger: LedgerConfig
    spool: str
    """The folder where outcomes wait that the ledger has not taken."""
    spool_prefix: str
    """How the names of this process's files begin there."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """One registered worker. A worker that was declared dead introduces itself anew under its next number."""

    number: int
    """Counts the introductions of one process, from 1."""
    worker_id: WorkerId
    terms: LifeTerms

    def as_line(self) -> bytes:
        """Write it as one line. It may hold the database's password: for a socket pair, not for a log."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Self:
        """Read what `as_line` wrote."""
        values: dict[str, Any] = json.loads(line)
        terms: dict[str, Any] = values.pop("terms")
        written: dict[str, Any] = terms.pop("ledger")
        limits = {queue: BacklogLimit(**limit) for queue, limit in written.pop("backlog_limits").items()}
        ledger = LedgerConfig(backlog_limits=limits, **written)
        return cls(terms=LifeTerms(ledger=ledger, **terms), **values)
