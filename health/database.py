"""Whether the ledger's database can be read and written."""

from collections.abc import Callable
from typing import Protocol

from holdfast.health.report import ComponentReport, Status
from holdfast.health.threads import OneAtATime


class PingTimes(Protocol):
    """How long the ledger's two statements took."""

    @property
    def read_ms(self) -> float:
        """Milliseconds of the read."""
        ...

    @property
    def write_ms(self) -> float:
        """Milliseconds of the write, commit included."""
        ...


class CanPing(Protocol):
    """The part of the ledger that this check needs."""

    def ping(self) -> PingTimes:
        """Read and write once; raises LedgerUnavailable."""
        ...


class DatabaseCheck:
    """One read and one write through the ledger, with its own connection pool and limits."""

    name = "database"

    def __init__(self, ledger: Callable[[], CanPing]) -> None:
        """Take a supplier, since to connect can already fail; that is then what the check reports."""
        self._ledger = ledger
        self._measure = OneAtATime(self.measure, name="holdfast-check-database")

    async def check(self) -> ComponentReport:
        """Measure on a thread."""
        return await self._measure()

    def measure(self) -> ComponentReport:
        """Read and write; raises what the ledger raises."""
        times = self._ledger().ping()
        return ComponentReport(
            Status.HEALTHY,
            times.read_ms + times.write_ms,
            f"read {times.read_ms:.1f} ms, write {times.write_ms:.1f} ms",
            {"database_read": times.read_ms, "database_write": times.write_ms},
        )
