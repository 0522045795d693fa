"""Limits on how many jobs of a key run at once."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row

from holdfast.jobs import codec
from holdfast.jobs.concurrency import LIMIT, TENANT, TURN, ConcurrencyLimit
from holdfast.jobs.errors import LedgerError
from holdfast.jobs.ids import JobId, LeaseToken
from holdfast.jobs.job import Ring
from holdfast.jobs.state import Move
from holdfast.ledger import endings, moments, rows
from holdfast.ledger.batch import packed, packed_with_ids
from holdfast.ledger.payloads import Payloads, arguments_of
from holdfast.ledger.records import LimitBook
from holdfast.ledger.settling import Settling
from holdfast.ledger.statements import concurrency, parking
from holdfast.ledger.transaction import Transactions

AnyRow = Row[Any]

_MOST_IN_TURN: Final = 1000

_log: Final = logging.getLogger(__name__)


class Concurrency:
    """Holds claims to limits, and lets those go whose turn has come."""

    def __init__(self, transactions: Transactions, settling: Settling) -> None:
        """Work in these transactions; whoever ends a limited job through `settling` looks who is next."""
        self._transactions = transactions
        self._settling = settling
        self._payloads = Payloads(transactions)
        self.ring: Callable[[Sequence[Ring]], object] = bool
        """Told after the commit whose turn has come; must not block. Else the stager rings."""
        settling.on_freed = self._look_who_is_next

    def hold(
        self, connection: Connection, taken: Sequence[AnyRow], limits: Mapping[str, ConcurrencyLimit]
    ) -> list[AnyRow]:
        """Park those of the jobs that were claimed just now and are too many; returns the others.

        Within the claim's own transaction: between counting and commit nobody else counts the same key.
        """
        bodies = self._payloads.arguments([row for row in taken if _asks_arguments(row, limits)], connection)
        keys = {
            row.id: limit.key(row.task, row.tenant, arguments_of(row, bodies))
            for row in taken
            if (limit := limits.get(row.task)) is not None
        }
        if not keys:
            return list(taken)
        if self._transactions.is_postgresql:
            named = packed([{"key": key} for key in sorted(set(keys.values()))])
            self._transactions.run(connection, concurrency.lock_keys(), named)
        limited = sorted((row for row in taken if row.id in keys), key=_place_in_line)
        noted = [{"id": row.id, "key": keys[row.id], "most": limits[row.task].most} for row in limited]
        self._transactions.run(connection, concurrency.note_keys(), packed_with_ids(noted))
        over = self._over(connection, limited, keys, limits)
        self._settling.end_running(connection, [_parked(row, keys[row.id]) for row in over])
        parked = {row.id for row in over}
        return [row for row in taken if row.id not in parked]

    def release(self, limit: int) -> int:
        """Let those go whose turn has come: a level, which misses nobody (B14). Returns how many."""
        return self._release(limit, None)

    def books(self) -> list[LimitBook]:
        """Return the keys of which jobs run, and how many of their places are held."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, concurrency.books()).all(),
            doing="read limits",
        )
        return [LimitBook(row.limit_key, int(row.most), int(row.running), int(row.left)) for row in found]

    def _over(
        self,
        connection: Connection,
        limited: Sequence[AnyRow],
        keys: Mapping[str, str],
        limits: Mapping[str, ConcurrencyLimit],
    ) -> list[AnyRow]:
        wanted = {concurrency.KEYS: json.dumps(sorted(set(keys.values())))}
        found = self._transactions.run(connection, concurrency.running(), wanted)
        running: dict[str, int] = {row.limit_key: row.running for row in found}
        over: list[AnyRow] = []
        # The last in line first; each that goes makes room for one of those before it.
        for row in reversed(limited):
            if running[keys[row.id]] > limits[row.task].most:
                running[keys[row.id]] -= 1
                over.append(row)
        return over

    def _look_who_is_next(self, keys: Iterable[str]) -> None:
        try:
            self._release(_MOST_IN_TURN, sorted(keys))
        except LedgerError as error:
            # What it follows is committed and has been answered; the sweep lets them go.
            _log.warning("who waits for a turn waits for the next sweep: %s", error)

    def _release(self, limit: int, keys: Sequence[str] | None) -> int:
        find = concurrency.free_places(of_keys=keys is not None)
        values = {} if keys is None else packed([{"key": key} for key in keys])

        def who(connection: Connection) -> list[str]:
            ids: list[str] = []
            for row in self._transactions.run(connection, find, values).all():
                places = min(row.places or 0, limit - len(ids))
                if places > 0:
                    asked = {concurrency.KEY: row.key, concurrency.PLACES: places}
                    ids += self._transactions.run(connection, concurrency.first_in_line(), asked).scalars()
            return sorted(ids)

        def work(connection: Connection) -> list[AnyRow]:
            # Once more, under the lock of the one writer, where there is one.
            batch = [{"id": job_id, "ticket": TURN} for job_id in who(connection)]
            moved, refused = self._transactions.apart(connection, batch, self._move)
            for row, said in refused:
                _log.warning("job %s cannot be released: %s", row["id"], said)
            return moved

        if not self._transactions.read(who, doing="look who is next"):
            return 0
        moved = self._transactions.write(work, doing="release by turn")
        self.ring(rows.rings(moved))
        return len(moved)

    def _move(self, connection: Connection, batch: Sequence[dict[str, Any]]) -> list[AnyRow]:
        moved = self._transactions.run(connection, parking.release(), packed_with_ids(batch)).all()
        moments.record(self._transactions, connection, moved, Move.RELEASE.value)
        return list(moved)


def _parked(row: AnyRow, key: str) -> endings.Ending:
    return endings.ending(
        JobId(row.id),
        LeaseToken(row.lease_token),
        kind=Move.PARK.value,
        asked=codec.digest("limit"),
        detail=f"{LIMIT}{key}: as many run as may at once",
        waiting_for=LIMIT + key,
        seen=row.wake_seq,
    )


def _asks_arguments(row: AnyRow, limits: Mapping[str, ConcurrencyLimit]) -> bool:
    limit = limits.get(row.task)
    return limit is not None and limit.per not in {None, TENANT}


def _place_in_line(row: AnyRow) -> tuple[int, Any, str]:
    return (row.priority, row.run_at, row.id)
