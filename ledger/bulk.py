"""Steering many jobs: page by page in small transactions, so that it disturbs nobody.

The ids of a page are read without a lock. Then those that fit the filter still
are locked and changed in one transaction: who was claimed, settled or changed
in between is left alone, so nothing ends twice and no fence is broken. A verb
that was interrupted is simply repeated: what is done does not fit any more.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Update

from holdfast.jobs.errors import NotUnique
from holdfast.jobs.failure import storable_text
from holdfast.jobs.ids import JobId
from holdfast.jobs.state import JobState, Move
from holdfast.ledger import moments, uniqueness
from holdfast.ledger.batch import packed_ids
from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.job_filter import JobFilter
from holdfast.ledger.schema_rules import LONGEST_DETAIL
from holdfast.ledger.statements import children, selection, steering
from holdfast.ledger.statements.shape import WAITING
from holdfast.ledger.transaction import Transactions

PAGE: Final = 500
"""Jobs of one transaction: some tens of milliseconds, for which a settlement of one of them may wait."""
CANCELLABLE: Final = (*WAITING, JobState.RUNNING)
REQUEUEABLE: Final = (JobState.QUARANTINED,)
RETRYABLE: Final = (JobState.SCHEDULED, JobState.QUARANTINED)

CANCELLED: Final = "cancelled"
REQUESTED: Final = "requested"
"""They run; their workers were asked to end them."""
REQUEUED: Final = "requeued"
DUE: Final = "due"
"""They were scheduled for later, and are available now."""
REFUSED: Final = "refused"
"""Left as they are: messages that were refused, and hold no arguments."""

HELD: Final = "held"
"""Left as they are: children whose parent is open and does not wait for them."""

TAKEN: Final = "taken"
"""Left as they are: unique jobs beside which another one of their key is there."""

Outcomes = Counter[str]
_Row = Row[Any]
_Work = Callable[[Connection, Sequence[_Row]], Outcomes]


class Bulk:
    """Changes all jobs that a filter lets through; each verb yields what came of a page once it is committed.

    `most` bounds how many jobs are looked at. A filter that ends where its jobs were counted
    (`JobCount.at`) leaves alone what came later. Raises LedgerUnavailable: repeat it.
    """

    def __init__(self, transactions: Transactions, config: LedgerConfig) -> None:
        """Work in these transactions; a requeued job has this long again."""
        self._transactions = transactions
        self._total_age_seconds = config.total_age_seconds

    def cancel(self, which: JobFilter, reason: str = "", *, most: int | None = None) -> Iterator[Outcomes]:
        """Cancel jobs that wait, ask those that run to end: `cancelled`, `requested`."""
        text = storable_text(reason)[:LONGEST_DETAIL]

        def work(connection: Connection, found: Sequence[_Row]) -> Outcomes:
            waiting = [row for row in found if row.state != JobState.RUNNING]
            running = [row for row in found if row.state == JobState.RUNNING]
            moved = self._move(connection, waiting, steering.cancel_each(text), Move.CANCEL)
            if running:
                self._transactions.run(connection, steering.ask_each(text), _batch(running))
            return Counter({CANCELLED: moved, REQUESTED: len(running)})

        return self._walk(which, CANCELLABLE, most, work, doing="cancel jobs")

    def requeue(self, which: JobFilter, *, most: int | None = None) -> Iterator[Outcomes]:
        """Give quarantined jobs their next generation: `requeued`; `refused`, `held`, `taken` are left."""
        return self._walk(which, REQUEUEABLE, most, self._again, doing="requeue jobs")

    def retry(self, which: JobFilter, *, most: int | None = None) -> Iterator[Outcomes]:
        """Let scheduled jobs be due now, and requeue quarantined ones: `due`, and as `requeue`."""
        return self._walk(which, RETRYABLE, most, self._again, doing="retry jobs")

    def _again(self, connection: Connection, found: Sequence[_Row]) -> Outcomes:
        later = [row for row in found if row.state == JobState.SCHEDULED]
        back: list[_Row] = []
        done: Outcomes = Counter()
        for row in found:
            if row.state != JobState.QUARANTINED:
                continue
            why = self._why_left(connection, row)
            if why:
                done[why] += 1
            else:
                back.append(row)
        requeue = steering.requeue_each(self._total_age_seconds)
        done[DUE] = self._move(connection, later, steering.hurry_each(), Move.STAGE)
        done[REQUEUED] = self._move(connection, back, requeue, Move.REQUEUE)
        return done

    def _why_left(self, connection: Connection, row: _Row) -> str:
        """Say why a quarantined job cannot be requeued, else empty; a unique one then has its key again."""
        if row.is_refused:
            return REFUSED
        if self._is_held(connection, row):
            return HELD
        return TAKEN if self._is_taken(connection, row) else ""

    def _is_held(self, connection: Connection, row: _Row) -> bool:
        if row.child_group is None:
            return False
        parent = self._transactions.run(connection, children.reader(), {children.PARENT: row.id}).first()
        return parent is not None and not parent.waits

    def _is_taken(self, connection: Connection, row: _Row) -> bool:
        """Take a job's unique key for it again; True if another one has it."""
        if row.unique_while is None:
            return False
        try:
            with connection.begin_nested():
                uniqueness.retake(self._transactions, connection, JobId(row.id))
        except NotUnique:
            return True
        return False

    def _walk(
        self, which: JobFilter, among: Sequence[JobState], most: int | None, work: _Work, *, doing: str
    ) -> Iterator[Outcomes]:
        after, left = "", most
        while left is None or left > 0:
            limit = PAGE if left is None else min(PAGE, left)
            page = self._ids(which, among, after, limit, doing=doing)
            if page:
                yield self._steer(which, among, page, work, doing=doing)
            if len(page) < limit:
                return
            after = page[-1]
            left = None if left is None else left - len(page)

    def _ids(
        self, which: JobFilter, among: Sequence[JobState], after: str, limit: int, *, doing: str
    ) -> list[str]:
        statement = selection.ids(which, among, after, limit)
        return self._transactions.read(
            lambda connection: list(self._transactions.run(connection, statement).scalars()), doing=doing
        )

    def _steer(
        self, which: JobFilter, among: Sequence[JobState], page: Sequence[str], work: _Work, *, doing: str
    ) -> Outcomes:
        named = packed_ids(page)

        def transaction(connection: Connection) -> Outcomes:
            return work(
                connection, self._transactions.run(connection, selection.lock(which, among), named).all()
            )

        # Harmless twice, but the second time would count nothing.
        return +self._transactions.write(transaction, doing=doing, is_repeatable=False)

    def _move(self, connection: Connection, found: Sequence[_Row], statement: Update, move: Move) -> int:
        if not found:
            return 0
        moved = self._transactions.run(connection, statement, _batch(found)).all()
        moments.record(self._transactions, connection, moved, move.value)
        return len(moved)


def _batch(found: Sequence[_Row]) -> dict[str, Any]:
    return packed_ids([row.id for row in found])
