"""How attempts end: settle, hand back, and the lease questions in between."""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row
from sqlalchemy.exc import SQLAlchemyError

from holdfast.jobs import codec
from holdfast.jobs.children import CHILDREN
from holdfast.jobs.errors import LeaseLost
from holdfast.jobs.ids import JobId, LeaseToken, WorkerId
from holdfast.jobs.job import Held, LeftBehind, Progress, Settled, Settlement
from holdfast.jobs.lease import Lease
from holdfast.jobs.state import FINAL_STATES, JobState
from holdfast.ledger import endings, moments, rows
from holdfast.ledger.batch import chunked, packed, packed_with_ids
from holdfast.ledger.endings import Ending
from holdfast.ledger.payloads import Bodies, Payloads
from holdfast.ledger.statements import settle
from holdfast.ledger.transaction import DataRefused, Transactions
from holdfast.ledger.translate import translated
from holdfast.ledger.types import instant_text

Ended = list[tuple[Ending, Row[Any]]]

_log: Final = logging.getLogger(__name__)


class Settling:
    """Writes the ends of attempts."""

    def __init__(self, transactions: Transactions, payloads: Payloads) -> None:
        """Work in these transactions; large results are put into `payloads`."""
        self._transactions = transactions
        self._payloads = payloads
        self.on_family: Callable[[Collection[str]], object] = bool
        """Told, after a commit, of parents of which a child has ended, and of those that now wait for one."""
        self.on_freed: Callable[[Collection[str]], object] = bool
        """Told, after a commit, of limits under which a place has become free."""

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write a batch of outcomes, each under its lease."""
        asked = [(settlement, endings.of_settlement(settlement)) for settlement in settlements]
        answers: dict[int, Settled] = {}
        # Sorted by job id, so that two batches cannot block each other; the answers keep the caller's order.
        order = sorted(range(len(asked)), key=lambda index: asked[index][1].job_id)
        for chunk in chunked(order, lambda index: asked[index][1].size):
            part = [asked[index] for index in chunk]
            answers |= dict(zip(chunk, self._settle(part), strict=True))
        return [answers[index] for index in range(len(asked))]

    def settle_in(self, connection: Connection, settlement: Settlement) -> Settled:
        """Write one outcome inside the caller's transaction."""
        ending = endings.of_settlement(settlement)
        try:
            became = self._became(connection, [ending], self.end_running(connection, [ending]))
        except SQLAlchemyError as error:
            raise translated(error, doing="settle in a transaction of the caller") from error
        return _answer(settlement.lease, ending, became)

    def check_lease_in(self, connection: Connection, lease: Lease) -> None:
        """Raise LeaseLost unless the job is ours, and keep it so until the transaction ends."""
        try:
            row = self._transactions.run(connection, settle.hold(), _fence(lease)).first()
        except SQLAlchemyError as error:
            raise translated(error, doing="check a lease") from error
        if row is None:
            raise LeaseLost(job_id=lease.job_id)

    def hand_back(self, leases: Sequence[Lease], why: str) -> list[Settled]:
        """Give running jobs back unfinished, with their attempts."""
        asked = [
            endings.ending(
                lease.job_id, lease.token, kind="hand_back", asked=codec.digest("hand_back"), detail=why
            )
            for lease in leases
        ]

        def work(connection: Connection) -> list[Settled]:
            became = self._became(connection, asked, self.end_running(connection, asked))
            return [_answer(lease, ending, became) for lease, ending in zip(leases, asked, strict=True)]

        return self._transactions.write(work, doing="hand back")

    def end_running(self, connection: Connection, batch: Sequence[Ending]) -> Ended:
        """End running attempts that are still under their tokens: rows, attempts and history together.

        The one way out of `running`, for workers and for the rescuer. What
        it returns is what happened; the rest of the batch was not ours.
        """
        ended: Ended = []
        heavy: Bodies = {}
        for layer in _layers(batch):
            packed_rows = packed_with_ids(
                [self._payloads.lightened(one.row, "result", heavy) for one in layer]
            )
            if len(layer) > 1 and self._transactions.is_postgresql:
                self._transactions.run(connection, settle.lock(), packed_rows)
            asked = {str(one.job_id): one for one in layer}
            moved = self._transactions.run(connection, settle.settle(), packed_rows).all()
            ended += [(asked[row.id], row) for row in moved]
        if ended:
            completed = {row.id for _, row in ended if row.state == JobState.COMPLETED}
            self._payloads.write(
                connection, {key: body for key, body in heavy.items() if key[0] in completed}
            )
            self._transactions.run(
                connection, settle.end_attempts(), packed([_attempt(*pair) for pair in ended])
            )
            happened = [(row, one.move(JobState(row.state))) for one, row in ended]
            moments.record_each(self._transactions, connection, happened)
        return ended

    def held(self, worker_id: WorkerId) -> list[Held]:
        """Read what the ledger counts as a worker's."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, settle.held(worker_id)).all(),
            doing="read held jobs",
        )
        return [Held(JobId(row.id), LeaseToken(row.lease_token), bool(row.cancels)) for row in found]

    def left_behind(self, worker_id: WorkerId) -> list[LeftBehind]:
        """Read what a dead worker ran."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, settle.left_behind(worker_id)).all(),
            doing="read what a worker left behind",
        )
        return [rows.left_behind(row) for row in found]

    def prolong(self, leases: Sequence[Lease], seconds: float) -> None:
        """Move the ends of running attempts, each under its token."""
        wanted = packed_with_ids([{"id": lease.job_id, "token": lease.token} for lease in leases])
        self._transactions.write(
            lambda connection: self._transactions.run(
                connection, settle.prolong(), {**wanted, settle.SECONDS: seconds}
            ),
            doing="prolong attempts",
        )

    def owns(self, leases: Sequence[Lease]) -> list[bool]:
        """Ask by token which leases still hold."""
        wanted = packed_with_ids([{"id": lease.job_id, "token": lease.token} for lease in leases])
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, settle.owned(), wanted).all(),
            doing="ask for leases",
        )
        ours = {(row.id, row.lease_token) for row in found}
        return [(lease.job_id, lease.token) in ours for lease in leases]

    def progress(self, lease: Lease, progress: Progress) -> bool:
        """Say how far a job is; False if the lease is lost."""
        text = codec.encode(progress)
        values = {**_fence(lease), settle.PROGRESS: text}
        row = self._transactions.write(
            lambda connection: self._transactions.run(connection, settle.progress(), values).first(),
            doing="write progress",
        )
        return row is not None

    def _settle(self, asked: list[tuple[Settlement, Ending]]) -> list[Settled]:
        try:
            answers, ended = self._transactions.write(
                lambda connection: self._settle_all(connection, asked), doing="settle", tells_data=True
            )
        except DataRefused as error:
            if len(asked) > 1:
                middle = len(asked) // 2
                return self._settle(asked[:middle]) + self._settle(asked[middle:])
            _log.warning("the database refused an outcome of job %s", asked[0][1].job_id)
            return [self._settle_refused(*asked[0], error.said)]
        if family := _family(ended):
            self.on_family(family)
        if freed := {row.limit_key for _, row in ended if row.limit_key is not None}:
            self.on_freed(freed)
        return answers

    def _settle_refused(self, settlement: Settlement, ending: Ending, said: str) -> Settled:
        instead = endings.invalid_result(settlement.lease, ending.row["asked"], said)
        return self._transactions.write(
            lambda connection: self._settle_all(connection, [(settlement, instead)])[0][0], doing="settle"
        )

    def _settle_all(
        self, connection: Connection, asked: list[tuple[Settlement, Ending]]
    ) -> tuple[list[Settled], Ended]:
        """Return the answers, and what has ended now."""
        ended = self.end_running(connection, [ending for _, ending in asked])
        became = self._became(connection, [ending for _, ending in asked], ended)
        answers = [_answer(settlement.lease, ending, became) for settlement, ending in asked]
        late = [settlement for (settlement, _), answer in zip(asked, answers, strict=True) if answer.is_lost]
        if late:
            self._transactions.run(connection, settle.keep_late(), packed(_late_rows(late)))
        return answers, ended

    def _became(self, connection: Connection, asked: Sequence[Ending], ended: Ended) -> "_Became":
        """Add to what was ended now what ended before, as after a lost reply."""
        became: _Became = {}
        for ending, row in ended:
            state = JobState(row.state)
            became[ending.key] = (ending.asked, state, row.run_at if state is JobState.SCHEDULED else None)
        missing = [{"id": one.job_id, "token": one.token} for one in asked if one.key not in became]
        if missing:
            for row in self._transactions.run(connection, settle.ended(), packed(missing)):
                if row.became is not None:
                    became[row.job_id, row.token] = (row.asked, JobState(row.became), row.next_run_at)
        return became


_Became = dict[tuple[JobId, LeaseToken], tuple[str | None, JobState, datetime | None]]


def _answer(lease: Lease, ending: Ending, became: _Became) -> Settled:
    asked, state, run_at = became.get(ending.key, (None, None, None))
    return (
        Settled(lease, state, run_at) if asked is not None and asked == ending.asked else Settled(lease, None)
    )


def _family(ended: Ended) -> set[str]:
    final = {state.value for state in FINAL_STATES}
    parents = {row.parent_id for _, row in ended if row.parent_id is not None and row.state in final}
    return parents | {row.id for _, row in ended if (row.waiting_for or "").startswith(CHILDREN)}


def _layers(batch: Sequence[Ending]) -> Iterator[list[Ending]]:
    """Part a batch so that no job stands twice in one statement."""
    rest = sorted(batch, key=lambda one: one.job_id)
    while rest:
        layer: dict[str, Ending] = {}
        later: list[Ending] = []
        for one in rest:
            if one.job_id in layer:
                later.append(one)
            else:
                layer[one.job_id] = one
        yield list(layer.values())
        rest = later


def _attempt(ending: Ending, row: Row[Any]) -> dict[str, Any]:
    state = JobState(row.state)
    waits = state is JobState.SCHEDULED
    return {
        "id": ending.job_id,
        "token": ending.token,
        "outcome": ending.outcome(state),
        "asked": ending.row["asked"],
        "became": state.value,
        "next_run_at": instant_text(row.run_at) if waits else None,
        "failure": ending.row["failure"],
    }


def _fence(lease: Lease) -> dict[str, Any]:
    return {settle.THE_JOB: lease.job_id, settle.THE_TOKEN: lease.token}


def _late_rows(settlements: Sequence[Settlement]) -> list[dict[str, Any]]:
    # One row for each attempt: a statement may not touch a row twice.
    late = {
        (one.lease.job_id, one.lease.token): {
            "id": one.lease.job_id,
            "token": one.lease.token,
            "number": one.lease.attempt,
            "incarnation": one.lease.fence.incarnation,
            "counter": one.lease.fence.counter,
            "worker_id": one.lease.worker_id,
            "late": endings.late_text(one.outcome),
        }
        for one in settlements
    }
    return [late[key] for key in sorted(late)]
