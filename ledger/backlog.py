"""Load shedding at enqueue: a queue in which too many jobs wait takes no new ones.

The rows are counted, no counter is kept, so nothing can drift. What was
counted is trusted for a second, together with what this process has added
since: a queue can grow past its limit by what its other producers write within
that second, and by what stands in transactions that are still open. A refusal
counts nothing.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import Connection

from holdfast.jobs.backlog import CLASSES, BacklogLimit, JobClass, class_of, limit_of
from holdfast.jobs.clock import Clock, random_fraction
from holdfast.jobs.errors import QueueFull
from holdfast.ledger.statements import backlog
from holdfast.ledger.transaction import Transactions
from holdfast.ledger.types import instant_text

TRUSTED_SECONDS: Final = 1.0
_SHARE: Final = 20
"""Counting takes at most a twentieth of the time of whoever enqueues."""
FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 30.0
_MOST_DOUBLINGS: Final = 5
_MOST_KEPT: Final = 1000
_SPREAD_SECONDS: Final = 0.5
Row = Mapping[str, Any]
Wanted = Counter[tuple[str, JobClass]]
"""New jobs by queue and class."""
Taken = tuple["_Count", int]
"""A count, and what was added to it."""


@dataclass(slots=True)
class _Count:
    """What waited when it was counted, and what we have added since."""

    waiting: int
    good_until: float
    took: float
    """Seconds that the counting took."""
    fulls: int
    """Counts in a row that found it full."""


class Backlog:
    """Decides who may be enqueued. Safe for threads."""

    def __init__(self, transactions: Transactions, limits: Mapping[str, BacklogLimit], clock: Clock) -> None:
        """Hold queues to these limits."""
        self.has_limits = bool(limits)
        self._transactions = transactions
        self._limits = limits
        self._clock = clock
        self._counts: dict[tuple[str, str], _Count] = {}
        self._lock = threading.Lock()

    def room(self) -> "Room":
        """Return the room of one request: a block at whose end by an error it is given back."""
        return Room(self)

    def wanted(self, rows: Sequence[Row], digests: Mapping[str, str], known: Collection[str]) -> Wanted:
        """Count the new jobs of a request that would wait at once, where there is a limit.

        `digests` are of the keys, by job id; `known` are ids that are there already.
        """
        now = instant_text(self._clock.now())
        seen = set(known)
        due: list[Row] = []
        for row in rows:
            # Of a key that a request names twice, one job comes.
            names = {row["id"], digests.get(row["id"], row["id"])}
            if names.isdisjoint(seen) and not (row["run_at"] > now if row["run_at"] else row["delay"]):
                seen |= names
                due.append(row)
        return self.counted(due)

    def counted(self, rows: Sequence[Row]) -> Wanted:
        """Count jobs where there is a limit."""
        return Counter(
            (row["queue"], class_of(row["priority"]))
            for row in rows
            if limit_of(self._limits, row["queue"]) is not None
        )

    def take(self, connection: Connection, wanted: Wanted) -> "list[Taken] | QueueFull":
        """Take room for all of them in one step, or none and say why."""
        fresh = {key: self._fresh(connection, *key) for key in wanted}
        with self._lock:
            for (queue, job_class), found in fresh.items():
                # Of one queue, more important ones of the same request come first.
                asked = sum(
                    count
                    for (other, theirs), count in wanted.items()
                    if other == queue and theirs.last_priority <= job_class.last_priority
                )
                # Another thread may have counted anew meanwhile.
                count = self._counts.setdefault((queue, job_class.name), found)
                if count.waiting + asked > self._limit(queue, job_class):
                    return self._refusal(queue, job_class, count, asked)
            return self._add(wanted)

    def change(self, taken: Sequence[Taken], wanted: Wanted) -> list[Taken]:
        """Give back what was taken, and take this instead, whatever is full."""
        with self._lock:
            # What was counted anew since knows nothing of ours: the old count is changed, and forgotten.
            for count, added in taken:
                count.waiting -= added
            return self._add(wanted)

    def _limit(self, queue: str, job_class: JobClass) -> int:
        limit = limit_of(self._limits, queue)
        assert limit is not None  # noqa: S101 -- only such queues are looked at
        return limit.of(job_class)

    def _fresh(self, connection: Connection, queue: str, job_class: JobClass) -> _Count:
        key, began = (queue, job_class.name), self._clock.monotonic()
        with self._lock:
            last = self._counts.get(key)
            if last is not None and began < last.good_until:
                return last
        limit = self._limit(queue, job_class)
        asked = backlog.asked(queue, job_class.last_priority, limit)
        waiting = int(self._transactions.run(connection, backlog.waiting(), asked).scalar_one())
        ended = self._clock.monotonic()
        took = ended - began
        # One slow count is a busy moment, or the first of the process: two are a long backlog.
        slow = min(took, last.took) if last is not None else 0.0
        trusted = min(max(TRUSTED_SECONDS, _SHARE * slow), LONGEST_WAIT_SECONDS)
        fulls = (last.fulls if last is not None else 0) + 1 if waiting >= limit else 0
        count = _Count(waiting, ended + trusted, took, fulls)
        with self._lock:
            if len(self._counts) >= _MOST_KEPT:
                self._counts.clear()
            self._counts[key] = count
        return count

    def _add(self, wanted: Wanted) -> list[Taken]:
        """Add to a class and to the less important ones; called under the lock."""
        taken: list[Taken] = []
        for (queue, job_class), added in wanted.items():
            for one in CLASSES:
                count = self._counts.get((queue, one.name))
                if count is not None and one.last_priority >= job_class.last_priority:
                    count.waiting += added
                    taken.append((count, added))
        return taken

    def _refusal(self, queue: str, job_class: JobClass, count: _Count, asked: int) -> QueueFull:
        limit = self._limit(queue, job_class)
        doublings = min(max(count.fulls - 1, 0), _MOST_DOUBLINGS)
        wait = min(FIRST_WAIT_SECONDS * 2.0**doublings, LONGEST_WAIT_SECONDS)
        # Who was refused together does not come back together, and nobody before we look again.
        wait *= 0.75 + random_fraction() / 2.0
        left = count.good_until - self._clock.monotonic()
        return QueueFull(
            queue=queue,
            job_class=job_class.name,
            limit=limit,
            free=limit - count.waiting,
            asked=asked,
            retry_after_seconds=wait if wait > left else left + _SPREAD_SECONDS * random_fraction(),
        )


class Room:
    """What one request has taken of the queues that have a limit."""

    def __init__(self, backlog_: Backlog) -> None:
        """Hold nothing yet."""
        self._backlog = backlog_
        self._taken: list[Taken] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is not None:
            self._taken = self._backlog.change(self._taken, Counter())

    def take(
        self,
        connection: Connection,
        rows: Sequence[Row],
        digests: Mapping[str, str],
        known: Callable[[], Collection[str]],
    ) -> None:
        """Let all of these new jobs in, or raise QueueFull. Writes nothing.

        `known` returns the ids of those that make no new job, which are let in, whatever waits; it is
        asked only where a queue is full. Jobs for later do not wait yet, and are not counted. A
        transaction that is tried again takes its room again, and not twice.
        """
        if not self._backlog.has_limits:
            return
        self._taken = self._backlog.change(self._taken, Counter())
        taken = self._backlog.take(connection, self._backlog.wanted(rows, digests, ()))
        if isinstance(taken, QueueFull):
            # Who repeats a request gets the answer of the first time.
            taken = self._backlog.take(connection, self._backlog.wanted(rows, digests, known()))
        if isinstance(taken, QueueFull):
            raise taken
        self._taken = taken

    def keep(self, rows: Sequence[Row]) -> None:
        """Keep the room of these, which were written and wait; what else was taken is given back."""
        if self._backlog.has_limits:
            self._taken = self._backlog.change(self._taken, self._backlog.counted(rows))
