"""Parents and children: plans, waits, and what becomes of children whose parent is gone."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row

from holdfast.jobs.children import ChildEnd, Plan
from holdfast.jobs.errors import LedgerError, PlanChanged
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import NewJob, Ring
from holdfast.jobs.lease import Lease
from holdfast.jobs.state import FINAL_STATES, JobState, Move
from holdfast.ledger import moments, rows
from holdfast.ledger.batch import MOST_ROWS, packed_ids
from holdfast.ledger.enqueueing import Add, Enqueueing
from holdfast.ledger.payloads import Payloads
from holdfast.ledger.settling import Settling
from holdfast.ledger.statements import children
from holdfast.ledger.transaction import Transactions

PARENT_ENDED: Final = "its parent ended without a result"
_MOST_PARENTS: Final = 100

_log: Final = logging.getLogger(__name__)


class Children:
    """The verbs of parents, and the sweeps that look after their children.

    Every verb may be repeated: a plan has its name, children have their places.
    """

    def __init__(self, transactions: Transactions, enqueueing: Enqueueing, settling: Settling) -> None:
        """Work in these transactions; who ends a child through `settling` looks after its parent."""
        self._transactions = transactions
        self._enqueueing = enqueueing
        self._settling = settling
        self._payloads = Payloads(transactions)
        self.ring: Callable[[Sequence[Ring]], object] = bool
        """Told after the commit what has become available; must not block. Else the stager rings."""
        settling.on_family = self._look_after

    def plan(self, plan: Plan) -> bool:
        """Write what a parent plans, all of it or nothing, under its lease; True if its wait is over.

        What was planned before stays as it is. In a new generation of the parent those of its children
        that ended without a result give their places to new ones. Raises LeaseLost; PlanChanged if another
        plan has the name; QueueFull, and has written nothing.
        """
        with self._enqueueing.inside() as add:
            created, is_over = self._transactions.write(
                lambda connection: self._plan(connection, plan, add), doing="plan children"
            )
        self.ring([_ring(job) for job in created])
        return is_over

    def ends(self, parent_id: JobId, groups: Iterable[str]) -> list[ChildEnd]:
        """Return the children of groups, in the order of the groups and their places."""
        order = {group: number for number, group in enumerate(groups)}
        found = self._ends(parent_id, _names(order))
        return sorted(found, key=lambda end: (order[end.group], end.position))

    def cancel(self, parent: Lease, groups: Sequence[str], why: str) -> int:
        """Cancel what is still open of a running parent's groups; returns how many. Raises LeaseLost."""
        values = {children.PARENT: parent.job_id, children.GROUPS: _names(groups)}

        def work(connection: Connection) -> int:
            self._settling.check_lease_in(connection, parent)
            return self._cancel(connection, why, children.open_children(MOST_ROWS, of_groups=True), values)

        total = 0
        while found := self._transactions.write(work, doing="cancel children"):
            total += found
        return total

    # Sweeps

    def wake(self, limit: int) -> int:
        """Let all go on that wait for their children no longer: a level, which misses nobody (B14)."""

        def move(connection: Connection, ids: Sequence[str]) -> list[Ring]:
            return self._wake(connection, packed_ids(ids))

        def work(connection: Connection) -> list[Ring]:
            woken, refused = self._transactions.apart(connection, sorted(ids), move)
            for job_id, said in refused:
                _log.warning("job %s cannot be woken for its children: %s", job_id, said)
            return woken

        # Looked for without a lock: a sweep that finds nothing keeps nobody from writing.
        ids = self._transactions.read(
            lambda connection: self._transactions.run(connection, children.awake(limit)).scalars().all(),
            doing="look for parents",
        )
        if not ids:
            return 0
        woken = self._transactions.write(work, doing="wake parents")
        self.ring(woken)
        return len(woken)

    def cancel_bereaved(self, limit: int) -> int:
        """Cancel open children of parents that ended without a result; returns how many.

        A level: a parent stays in sight until none of its children is left that nobody has asked to end.
        """

        def work(connection: Connection) -> int:
            # Once more, and locked: nobody is to requeue them meanwhile.
            found = self._transactions.run(connection, children.bereaved(_MOST_PARENTS, locks=True)).scalars()
            parents = packed_ids(sorted(found))
            ended = self._cancel(connection, PARENT_ENDED, children.open_children(limit), parents)
            self._transactions.run(connection, children.close(), parents)
            return ended

        is_any = self._transactions.read(
            lambda connection: self._transactions.run(connection, children.bereaved(1)).first() is not None,
            doing="look for parents",
        )
        if not is_any:
            return 0
        return self._transactions.write(work, doing="cancel children")

    def _look_after(self, job_ids: Iterable[str]) -> None:
        """Let those of the jobs go on that wait for their children no longer.

        Asked after the commit that ended a child, or parked its parent: of two that end at once, the
        one that asks last sees both. Whoever dies before it asks is made up for by `wake`.
        """
        batch = packed_ids(sorted(set(job_ids)))
        try:
            woken = self._transactions.write(
                lambda connection: self._wake(connection, batch), doing="wake parents"
            )
        except LedgerError as error:
            # What it follows is committed and has been answered; the sweep wakes them.
            _log.warning("parents wait for the next sweep: %s", error)
            return
        self.ring(woken)

    def _plan(self, connection: Connection, plan: Plan, add: Add) -> tuple[list[NewJob], bool]:
        self._settling.check_lease_in(connection, plan.parent)
        wait = {children.PARENT: plan.parent.job_id, children.NAME: plan.name}
        known = self._transactions.run(connection, children.gathering(), wait).first()
        if known is not None and known.digest != plan.digest:
            raise PlanChanged(job_id=plan.parent.job_id, detail=f"`{plan.name}` was planned with others")
        created: list[NewJob] = []
        if known is None or known.generation < plan.generation:
            self._put(connection, plan, wait)
            created = self._fill(connection, plan, add) if plan.jobs else []
        return created, bool(self._transactions.run(connection, children.is_over(), wait).scalar())

    def _put(self, connection: Connection, plan: Plan, wait: dict[str, Any]) -> None:
        values = {
            **wait,
            children.POLICY: plan.policy.value,
            children.GROUPS: _names(plan.groups),
            children.DIGEST: plan.digest,
            children.GENERATION: plan.generation,
        }
        self._transactions.run(connection, children.put_gathering(), values)

    def _fill(self, connection: Connection, plan: Plan, add: Add) -> list[NewJob]:
        """Give each place a child that completed, or is open, or is new."""
        places = {children.PARENT: plan.parent.job_id, children.GROUPS: _names(plan.groups)}
        found = self._transactions.run(connection, children.places(), places).all()
        failed = [row.id for row in found if row.state in _WITHOUT_RESULT]
        if failed:
            self._transactions.run(connection, children.leave_places(), packed_ids(sorted(failed)))
        taken = {(row.child_group, row.child_position) for row in found if row.state not in _WITHOUT_RESULT}
        wanted = [job for job in plan.jobs if _place(job) not in taken]
        written = add(connection, wanted)
        self._transactions.run(connection, children.note_children(), {children.PARENT: plan.parent.job_id})
        return [
            job
            for job, row in zip(wanted, written, strict=True)
            if row.created and row.state is JobState.AVAILABLE and job.cohort is None
        ]

    def _ends(self, parent_id: JobId, groups: str) -> list[ChildEnd]:
        values = {children.PARENT: parent_id, children.GROUPS: groups, children.LIMIT: MOST_ROWS}

        def work(connection: Connection) -> list[Row[Any]]:
            found: list[Row[Any]] = []
            place: tuple[str, int] = ("", -1)
            while True:
                after = {children.AFTER_GROUP: place[0], children.AFTER: place[1]}
                page = self._transactions.run(connection, children.ends(), {**values, **after}).all()
                found += page
                if len(page) < MOST_ROWS:
                    return found
                place = (page[-1].child_group, page[-1].child_position)

        found = rows.readable(self._transactions.read(work, doing="read children"), rows.child_end)
        return self._payloads.results_of_children(found)

    def _wake(self, connection: Connection, batch: dict[str, Any]) -> list[Ring]:
        moved = self._transactions.run(connection, children.wake(), batch).all()
        moments.record(self._transactions, connection, moved, Move.WAKE.value)
        return rows.rings(moved)

    def _cancel(self, connection: Connection, why: str, find: Any, values: dict[str, Any]) -> int:  # noqa: ANN401  a statement
        found = self._transactions.run(connection, find, values).all()
        if not found:
            return 0
        batch = packed_ids(sorted(row.id for row in found))
        ended = self._transactions.run(connection, children.cancel_waiting(why), batch).all()
        moments.record(self._transactions, connection, ended, Move.CANCEL.value)
        self._transactions.run(connection, children.ask_running(why), batch)
        return len(found)


_WITHOUT_RESULT: Final = FINAL_STATES - {JobState.COMPLETED}


def _place(job: NewJob) -> tuple[str, int] | None:
    return None if job.parentage is None else (job.parentage.group, job.parentage.position)


def _names(groups: Iterable[str]) -> str:
    return json.dumps(list(groups))


def _ring(job: NewJob) -> Ring:
    return Ring(job.id, job.task, job.queue, job.priority)
