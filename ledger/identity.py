"""The ledger's own facts: who it is, its incarnation, the broker's epoch, whether it answers."""

import secrets
import time
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from holdfast.jobs.errors import LedgerError, SchemaMismatch
from holdfast.ledger.records import LedgerPing
from holdfast.ledger.revision import revision_of
from holdfast.ledger.statements import meta
from holdfast.ledger.transaction import Transactions
from holdfast.ledger.translate import POOLER_HINT

EPOCH_REST_SECONDS: Final = 60.0
"""The epoch changes at most this often, so that a broker that forgets at once cannot cause a storm."""

_MACHINE_ID: Final = Path("/etc/machine-id")


class Identity:
    """Reads and writes the facts."""

    def __init__(self, transactions: Transactions, schema: str | None, *, idle_seconds: int) -> None:
        """Work in these transactions, which PostgreSQL ends after so many idle seconds."""
        self._transactions = transactions
        self._idle_seconds = idle_seconds
        self._schema = schema if transactions.is_postgresql else None

    def revision(self) -> str | None:
        """Read the tables' revision."""
        return self._transactions.read(
            lambda connection: revision_of(connection, self._schema), doing="read the revision"
        )

    def fact(self, name: str) -> str:
        """Read a fact that the first migration wrote; raises SchemaMismatch if somebody removed it."""
        value = self._transactions.read(
            lambda connection: self._transactions.run(connection, meta.fact(name)).scalar(),
            doing=f"read {name}",
        )
        if value is None:
            raise SchemaMismatch(detail=f"the ledger's table meta has no {name}")
        return str(value)

    def promoted(self) -> int:
        """Raise the incarnation; a file that was moved belongs to this machine from now on."""
        machine_id = self._machine_id()

        def work(connection: Connection) -> int:
            if machine_id:
                self._transactions.run(connection, meta.note("machine_id", machine_id))
            return int(self._transactions.run(connection, meta.raise_incarnation()).scalar_one())

        return self._transactions.write(work, doing="raise the incarnation")

    def check_machine(self) -> None:
        """Raise LedgerError if the ledger is a file and another machine uses it (B28).

        Two machines that share a file over a network corrupt it: their locks
        do not see each other. The first machine's id is kept in the file.
        """
        machine_id = self._machine_id()
        if not machine_id:
            return

        def read(connection: Connection) -> str | None:
            return self._transactions.run(connection, meta.fact("machine_id")).scalar()

        def claim(connection: Connection) -> str | None:
            self._transactions.run(connection, meta.note_first("machine_id", machine_id))
            return read(connection)

        known = self._transactions.read(read, doing="compare machines")
        if known is None:
            known = self._transactions.write(claim, doing="note the machine")
        if known != machine_id:
            raise LedgerError(
                detail="this SQLite file is the ledger of another machine",
                hint="Use PostgreSQL for several machines; if you moved it, run `holdfast ledger promoted`.",
            )

    def check_session(self) -> None:
        """Raise LedgerError if what stands between us and PostgreSQL swallows a session's settings.

        A pooler may be told to ignore them: our tables would not be found, and no wait would have an end.
        """
        if not self._transactions.is_postgresql:
            return
        seconds = self._transactions.read(
            lambda connection: self._transactions.run(connection, meta.idle_limit()).scalar_one(),
            doing="compare the session's settings",
        )
        if seconds != self._idle_seconds:
            raise LedgerError(detail="the database's session does not have our settings", hint=POOLER_HINT)

    def new_epoch(self, seen: str) -> str:
        """Change the epoch if it is still the one that was seen; returns the one that holds now."""

        def work(connection: Connection) -> str:
            change = meta.change_epoch(seen, secrets.token_hex(16), rest_seconds=EPOCH_REST_SECONDS)
            changed = self._transactions.run(connection, change).scalar()
            return str(changed or self._transactions.run(connection, meta.fact("epoch")).scalar_one())

        return self._transactions.write(work, doing="change the epoch")

    def ping(self) -> LedgerPing:
        """Read and write a little."""
        started = time.monotonic()
        self._transactions.read(
            lambda connection: self._transactions.run(connection, meta.answer()).scalar(), doing="ping"
        )
        between = time.monotonic()
        self._transactions.write(
            lambda connection: self._transactions.run(connection, meta.probe()), doing="ping"
        )
        return LedgerPing((between - started) * 1000, (time.monotonic() - between) * 1000)

    def _machine_id(self) -> str:
        if self._transactions.is_postgresql:
            return ""
        try:
            return _MACHINE_ID.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""  # no such file, as in many containers: nothing to compare
