"""Schedules: their definitions, and the ticks that become jobs."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, Row

from holdfast.jobs.codec import LARGEST_BYTES
from holdfast.jobs.errors import InvalidArguments, JobError, LedgerError
from holdfast.jobs.failure import storable_text
from holdfast.jobs.ids import JobId, new_job_id
from holdfast.jobs.job import Enqueued, NewJob
from holdfast.jobs.schedules.definition import Definition, Source, job_of_tick
from holdfast.jobs.schedules.errors import InvalidSchedule, ScheduleExists, ScheduleNotFound
from holdfast.jobs.schedules.missed import Due, due
from holdfast.ledger import rows
from holdfast.ledger.batch import packed
from holdfast.ledger.enqueueing import Enqueueing
from holdfast.ledger.new_rows import row_of
from holdfast.ledger.schedule_records import Declared, Fired, Schedule, Tick
from holdfast.ledger.schema_rules import LONGEST_DETAIL
from holdfast.ledger.statements import schedules
from holdfast.ledger.transaction import Transactions
from holdfast.ledger.types import instant_text

T = TypeVar("T")
AnyRow = Row[Any]


class Schedules:
    """Writes schedules and fires their ticks. Each verb is one transaction."""

    def __init__(self, transactions: Transactions, enqueueing: Enqueueing) -> None:
        """Work in these transactions; jobs are written by `enqueueing`."""
        self._transactions = transactions
        self._enqueueing = enqueueing

    # Ticks

    def fire(self, limit: int) -> Fired:
        """Make jobs of the ticks that are due, of at most so many schedules; a repetition fires nothing.

        A schedule moves on to its next tick in the transaction that writes the job of this one, and only
        if this one is still its next. So whoever fires at the same time, or is killed at any point,
        leaves exactly one job for each tick. A schedule that cannot be followed is paused with the reason.
        """
        return self._transactions.write(lambda connection: self._fire(connection, limit), doing="fire ticks")

    def next_due(self) -> float | None:
        """Return in how many seconds the next tick is by the database's clock, None if there is none."""
        seconds = self._transactions.read(
            lambda connection: self._transactions.run(connection, schedules.next_due()).scalar(),
            doing="look for the next tick",
        )
        return None if seconds is None else float(seconds)

    def run_now(self, name: str) -> Enqueued:
        """Write a job as if it were a tick of this moment; the ticks go on as before, or stay paused.

        Not to be repeated after LedgerUnavailable unless a second job does no harm. Raises
        ScheduleNotFound, or QueueFull.
        """

        def look(connection: Connection) -> AnyRow:
            return self._row(connection, name)

        row = self._transactions.read(look, doing="read a schedule")
        job = _job_of(rows.schedule(row).definition, row.now, new_job_id())
        return self._enqueueing.enqueue([job])[0]

    # Definitions

    def declare(self, definitions: Sequence[Definition], *, release: int, tasks: Collection[str]) -> Declared:
        """Write what the code of a release declares; lower releases and repetitions change nothing (B21).

        `tasks` are all that this code knows: what a lower release declared for one of them, and this one
        does not, is removed. What an operator added or replaced stays. Raises InvalidSchedule.
        """

        def work(connection: Connection) -> Declared:
            before = {row.name for row in self._all(connection)}
            wanted = self._packed(connection, definitions, Source.CODE, release)
            written = self._names(connection, schedules.declare(), wanted) if definitions else set[str]()
            names = [one.name for one in definitions]
            gone = {schedules.RELEASE: release, schedules.NAMES: names, schedules.TASKS: sorted(tasks)}
            removed = self._names(connection, schedules.withdraw(), gone)
            stored = {one.name: one for one in rows.readable(self._all(connection), rows.schedule)}
            return Declared(
                added=tuple(sorted(written - before)),
                changed=tuple(sorted(written & before)),
                removed=tuple(sorted(removed)),
                refused=tuple(_refused(definitions, stored, release)),
            )

        return self._transactions.write(work, doing="declare schedules")

    def add(self, definition: Definition, *, replace: bool = False) -> Schedule:
        """Write an operator's schedule; with `replace` over one of the name, which stays paused if it was.

        A new rule counts from now on. Raises InvalidSchedule, or ScheduleExists.
        """

        def work(connection: Connection) -> Schedule:
            wanted = self._packed(connection, [definition], Source.COMMAND, 0)
            if not self._names(connection, schedules.add(replace=replace), wanted):
                raise ScheduleExists(detail=definition.name)
            return rows.schedule(self._row(connection, definition.name))

        # After a COMMIT whose reply was lost, a repetition would find its own row there.
        return self._transactions.write(work, doing="add a schedule", is_repeatable=replace)

    def pause(self, name: str, reason: str = "") -> bool:
        """Let a schedule tick no more until it is resumed. False if it was. Raises ScheduleNotFound."""

        def work(connection: Connection) -> bool:
            self._row(connection, name, locks=True)
            return self._change(connection, schedules.pause(name, storable_text(reason)[:LONGEST_DETAIL]))

        return self._transactions.write(work, doing="pause a schedule")

    def resume(self, name: str) -> bool:
        """Let a schedule tick again, from now on: ticks of the pause are left out. False if it did.

        Raises ScheduleNotFound, or InvalidSchedule where it was paused because it cannot be followed.
        """

        def work(connection: Connection) -> bool:
            row = self._row(connection, name, locks=True)
            found = rows.schedule(row)
            next_tick = found.definition.rule_from(found.anchor).next_after(row.now)
            return self._change(connection, schedules.resume(name, next_tick))

        return self._transactions.write(work, doing="resume a schedule")

    def remove(self, name: str) -> None:
        """Delete a schedule; its jobs stay. Raises ScheduleNotFound.

        What the code declares comes back when a worker starts.
        """

        def work(connection: Connection) -> None:
            if not self._change(connection, schedules.remove(name)):
                raise ScheduleNotFound(detail=name)

        self._transactions.write(work, doing="remove a schedule", is_repeatable=False)

    # Reading

    def listed(self) -> list[Schedule]:
        """Return all schedules, by name. Unreadable rows are left out, logged."""
        return rows.readable(self._transactions.read(self._all, doing="list schedules"), rows.schedule)

    def one(self, name: str) -> Schedule:
        """Return a schedule; raises ScheduleNotFound, or BadRow if somebody broke it by hand."""
        row = self._transactions.read(lambda connection: self._row(connection, name), doing="read a schedule")
        return rows.schedule(row)

    def _fire(self, connection: Connection, limit: int) -> Fired:
        found = self._transactions.run(connection, schedules.due(limit)).all()
        # Of one that catches up on a long night, no more than leaves the others their turn.
        most = limit // len(found) if found else limit
        turns, stopped = _apart(found, lambda row: _turn_of(row, most))
        ticks, refused = self._transactions.apart(connection, turns, self._take)
        stopped += [(turn.name, said) for turn, said in refused]
        for name, why in stopped:
            reason = storable_text(f"it cannot be followed: {why}")[:LONGEST_DETAIL]
            self._transactions.run(connection, schedules.pause(name, reason))
        return Fired(
            ticks=tuple(ticks),
            left_out=tuple(turn.name for turn in turns if turn.due.left_out_since is not None),
            stopped=tuple(stopped),
            is_more=len(found) == limit or any(turn.is_more for turn in turns),
        )

    def _take(self, connection: Connection, turns: Sequence["_Turn"]) -> list[Tick]:
        moves = packed([turn.move for turn in turns])
        moved = self._names(connection, schedules.advance(), moves)
        wanted = [(turn, *pair) for turn in turns if turn.name in moved for pair in turn.jobs]
        created = self._enqueueing.write_in(connection, [row for _, _, row in wanted])
        return [
            Tick(turn.name, at, job.id, job.task, job.queue, job.priority, job.cohort)
            for turn, job, _ in wanted
            if job.id in created and (at := job.scheduled_for) is not None
        ]

    def _packed(
        self, connection: Connection, definitions: Sequence[Definition], source: Source, release: int
    ) -> dict[str, Any]:
        now: datetime = self._transactions.run(connection, schedules.clock()).scalar_one()
        # In one order everywhere, so that two batches cannot block each other.
        ordered = sorted(definitions, key=lambda one: one.name)
        return packed([_row_of(one, source, release, now) for one in ordered])

    def _all(self, connection: Connection) -> Sequence[AnyRow]:
        return self._transactions.run(connection, schedules.listed()).all()

    def _row(self, connection: Connection, name: str, *, locks: bool = False) -> AnyRow:
        row = self._transactions.run(connection, schedules.one(name, locks=locks)).first()
        if row is None:
            raise ScheduleNotFound(detail=name)
        return row

    def _names(self, connection: Connection, statement: Any, values: dict[str, Any]) -> set[str]:  # noqa: ANN401 -- any change
        return set(self._transactions.run(connection, statement, values).scalars())

    def _change(self, connection: Connection, statement: Any) -> bool:  # noqa: ANN401 -- an update or a delete
        return bool(self._transactions.run(connection, statement).rowcount)


@dataclass(frozen=True, slots=True)
class _Turn:
    """What is to be done for one schedule now."""

    name: str
    tick: datetime
    due: Due
    jobs: tuple[tuple[NewJob, dict[str, Any]], ...]
    """Each with its row, which was made before anything is written: what no table can hold is found there."""
    is_more: bool

    @property
    def move(self) -> dict[str, Any]:
        """The row that moves the schedule on."""
        fired = self.due.ticks
        return {
            "name": self.name,
            "tick": instant_text(self.tick),
            "next_tick": instant_text(self.due.next_tick),
            "last_tick": instant_text(fired[-1]) if fired else None,
            "count": len(fired),
        }


def _turn_of(row: AnyRow, most: int) -> _Turn:
    found = rows.schedule(row)
    definition, tick, now = found.definition, found.next_tick, row.now
    rule = definition.rule_from(found.anchor)
    what = due(rule, tick, now=now, missed=definition.missed, most=max(most, 1))
    jobs = [_job_of(definition, at, job_of_tick(definition.name, at), runs_at=at) for at in what.ticks]
    written = tuple((job, row_of(job)) for job in jobs)
    return _Turn(definition.name, tick, what, written, is_more=what.next_tick <= now)


def _apart(found: Sequence[AnyRow], read: Callable[[AnyRow], T]) -> tuple[list[T], list[tuple[str, str]]]:
    """Read what can be read; the others come back by name, with the reason."""
    good: list[T] = []
    bad: list[tuple[str, str]] = []
    for row in found:
        try:
            good.append(read(row))
        except (InvalidSchedule, JobError, LedgerError) as error:
            bad.append((row.name, error.detail or str(error)))
    return good, bad


def _job_of(
    definition: Definition, tick: datetime, job_id: JobId, *, runs_at: datetime | None = None
) -> NewJob:
    deadline = definition.deadline_seconds
    return NewJob(
        id=job_id,
        task=definition.task,
        arguments=definition.arguments,
        version=definition.version,
        queue=definition.queue,
        priority=definition.priority,
        tenant=definition.tenant,
        principal=f"schedule:{definition.name}",
        run_at=runs_at,
        deadline_at=None if deadline is None else tick + timedelta(seconds=deadline),
        cohort=definition.cohort,
        scheduled_for=tick,
    )


def _row_of(definition: Definition, source: Source, release: int, now: datetime) -> dict[str, Any]:
    definition.check()
    next_tick = definition.rule_from(now).next_after(now)
    # What no job could hold is refused now, and not at the first tick.
    row_of(_job_of(definition, next_tick, job_of_tick(definition.name, next_tick)))
    if len(definition.arguments) > LARGEST_BYTES:
        # A job's may stand apart from its row, a schedule's may not.
        size = f"{len(definition.arguments)} characters, at most {LARGEST_BYTES}"
        raise InvalidArguments(detail=f"a schedule's arguments have {size}")
    return {
        "name": definition.name,
        "task": definition.task,
        "version": definition.version,
        "queue": definition.queue,
        "priority": definition.priority,
        "tenant": definition.tenant,
        "cohort": definition.cohort,
        "arguments": definition.arguments,
        "deadline_seconds": definition.deadline_seconds,
        "rule": definition.rule,
        "zone": definition.zone,
        "missed": definition.missed.value,
        "anchor": instant_text(now),
        "next_tick": instant_text(next_tick),
        "release": release,
        "source": source.value,
    }


def _refused(
    definitions: Sequence[Definition], stored: dict[str, Schedule], release: int
) -> list[tuple[str, str]]:
    """Tell what the ledger holds otherwise, unless a higher release made it so."""
    found: list[tuple[str, str]] = []
    for wanted in definitions:
        held = stored.get(wanted.name)
        if held is None or held.is_as(wanted) or (held.source is Source.CODE and held.release > release):
            continue
        if held.source is Source.COMMAND:
            found.append((wanted.name, "an operator has added or replaced it"))
        else:
            found.append(
                (wanted.name, f"release {held.release} declares it otherwise; a higher one changes it")
            )
    return found
