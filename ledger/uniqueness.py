"""Unique jobs: whether a new one may be there is decided in the transaction of its enqueue.

A key is a row, and that only one job holds it is a unique index; all else only finds out what to answer.
Jobs are locked before the keys that are there, by everyone and in the order of their ids.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row

from holdfast.jobs.errors import InvalidArguments, KeyBusy, NotUnique
from holdfast.jobs.ids import JobId
from holdfast.jobs.state import JobState, Move
from holdfast.jobs.unique import Conflict, Holder, Unique, UniqueKey, resolve
from holdfast.ledger import moments, unique_release
from holdfast.ledger.batch import chunked, packed, packed_with_ids
from holdfast.ledger.payloads import Bodies, Payloads
from holdfast.ledger.schema_unique import HOLDS, WAITS
from holdfast.ledger.statements import unique
from holdfast.ledger.statements.shape import UNIQUE
from holdfast.ledger.transaction import Transactions
from holdfast.ledger.types import bounded_seconds, instant_text

AnyRow = Row[Any]

MOST_LOOKS: Final = 10
"""A key whose holder comes and goes each time we look is busy."""
_FEW_CHARACTERS: Final = 400
_LEAVES_ALONE: Final = ("return", "reject", "drop")
"""What leaves the job alone that is there; everything else locks it first."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A new job that asks for a unique key: its row, not yet written."""

    key: UniqueKey
    row: dict[str, Any]

    @property
    def id(self) -> str:
        """Return the id that the job would have."""
        return str(self.row["id"])


@dataclass(slots=True)
class Met:
    """What was found about the wishes of one call."""

    owners: dict[str, str] = field(default_factory=dict[str, str])
    """By the id that was asked for: the job that is there instead."""
    conflicts: dict[str, Conflict] = field(default_factory=dict[str, Conflict])
    taken: set[str] = field(default_factory=set[str])
    """Who has a place in the table of keys now, by this call."""
    states: dict[str, str] = field(default_factory=dict[str, str])
    """How those stand, or ended, that are there."""


class Uniqueness:
    """Decides about wishes for unique keys."""

    def __init__(self, transactions: Transactions, total_age_seconds: float, payloads: Payloads) -> None:
        """Work in these transactions; a job that is moved has its total age again."""
        self._transactions = transactions
        self._payloads = payloads
        self._total_age_seconds = total_age_seconds

    def meet(self, connection: Connection, wishes: Sequence[Wish]) -> Met:
        """Take the keys that are free, and do about the others what their policy says.

        Raises NotUnique, and has taken and changed nothing, and KeyBusy.
        """
        return _Meeting(self._transactions, connection, self._total_age_seconds, self._payloads).hold(wishes)

    def held(self, connection: Connection, wishes: Sequence[Wish]) -> set[str]:
        """Return the ids of wishes that make no new job. Changes nothing."""
        lasting = [wish for wish in wishes if wish.key.policy.on_conflict != "cancel_running"]
        found = _look(self._transactions, connection, lasting)
        return {asker for asker, rows in found.items() if any(not row.is_stale for row in rows)}


def undo(transactions: Transactions, connection: Connection, job_ids: Collection[str]) -> None:
    """Give back the places, just taken, of jobs that are not written after all."""
    for chunk in chunked([{"id": job_id} for job_id in sorted(job_ids)], _few):
        transactions.run(connection, unique.untake(), packed_with_ids(chunk))


def retake(transactions: Transactions, connection: Connection, job_id: JobId) -> None:
    """Take the key of a job again that an operator brings back.

    Raises NotUnique if another job holds it now. A key whose time is over is not taken again.
    """
    its = packed_with_ids([{"id": job_id}])
    own = transactions.run(connection, unique.own(), its).first()
    if own is None or own.place is not None or own.is_over:
        return
    transactions.run(connection, unique.untake(), its)
    until = None if own.held_until is None else instant_text(own.held_until)
    wish = {"id": job_id, "digest": own.digest, "place": HOLDS, "seconds": None, "until": until}
    if transactions.run(connection, unique.take(), packed([wish])).first() is None:
        found = transactions.run(connection, unique.look(), packed([wish])).all()
        other = next((row for row in found if row.place == HOLDS), None)
        raise NotUnique(
            job_id=None if other is None else other.job_id,
            detail=f"job {job_id} cannot come back beside it",
            hint="Nothing was changed; requeue again when that job has ended, or cancel it.",
        )


class _Meeting:
    """One call's wishes on their way to an answer."""

    def __init__(
        self,
        transactions: Transactions,
        connection: Connection,
        total_age_seconds: float,
        payloads: Payloads,
    ) -> None:
        self._transactions = transactions
        self._payloads = payloads
        self._connection = connection
        self._total_age_seconds = total_age_seconds
        self._met = Met()
        self._locked: set[str] = set()
        self._open: dict[str, Wish] = {}
        self._changes: list[tuple[Wish, str, Conflict]] = []
        # By the job that has to go.
        self._superseded: dict[str, Wish] = {}
        self._awaited: dict[str, Wish] = {}

    def hold(self, wishes: Sequence[Wish]) -> Met:
        if len({wish.key.policy for wish in wishes}) > 1:
            # Else a refusal by one policy would come after the changes by another one.
            raise InvalidArguments(detail="the jobs of one call have several policies of uniqueness")
        for wish in wishes:
            # Of an attempt of this transaction that was undone.
            wish.row["waiting_for"] = None
        followers = self._join(wishes)
        try:
            self._decide()
        except NotUnique:
            undo(self._transactions, self._connection, self._met.taken)
            raise
        self._change()
        for wish, leader in followers:
            self._met.owners[wish.id] = self._met.owners.get(leader, leader)
            if leader in self._met.conflicts and leader in self._met.owners:
                self._met.conflicts[wish.id] = self._met.conflicts[leader]
        return self._met

    def _decide(self) -> None:
        for _ in range(MOST_LOOKS):
            self._take(HOLDS, self._open.values())
            if not self._open:
                return
            self._look()
        raise KeyBusy(detail="whoever held the unique key was another one each time we looked")

    def _join(self, wishes: Sequence[Wish]) -> list[tuple[Wish, str]]:
        """Make one wish of those for the same key: as if they came one after the other."""
        first: dict[str, Wish] = {}
        followers: list[tuple[Wish, str]] = []
        for wish in wishes:
            leader = first.setdefault(wish.key.digest, wish)
            if leader.id == wish.id:
                continue
            if wish.key.policy.on_conflict == "reject":
                raise NotUnique(detail="one call asks for it twice")
            waits = bool(leader.row["run_at"] or leader.row["delay"])
            state = JobState.SCHEDULED if waits else JobState.AVAILABLE
            conflict = resolve(wish.key.policy, Holder(JobId(leader.id), state, was_claimed=False))
            if conflict not in {"returned", "dropped"}:
                names = (
                    "arguments",
                    "version",
                    "trace",
                    *(("run_at", "delay") if conflict == "moved" else ()),
                )
                leader.row.update({name: wish.row[name] for name in names})
            followers.append((wish, leader.id))
            self._met.conflicts[wish.id] = "replaced" if conflict == "superseded" else conflict
        # In one order everywhere, so that two calls cannot block each other.
        self._open = {wish.id: wish for _, wish in sorted(first.items())}
        return followers

    def _take(self, place: int, wishes: Iterable[Wish]) -> set[str]:
        asked = [
            {
                "id": wish.id,
                "digest": wish.key.digest,
                "place": place,
                "seconds": _seconds(wish.key.policy),
                "until": None,
            }
            for wish in wishes
        ]
        taken: set[str] = set()
        for chunk in chunked(asked, _few):
            taken |= set(self._run(unique.take(), packed(chunk)).scalars())
        self._met.taken |= taken
        for job_id in taken:
            del self._open[job_id]
        return taken

    def _look(self) -> None:
        """Decide about those whose key is not free; who stays open is tried again."""
        wishes = list(self._open.values())
        found = _look(self._transactions, self._connection, wishes)
        if self._lock(wishes, found):
            # What was read before the lock may be of the past.
            found = _look(self._transactions, self._connection, wishes)
        stale: list[str] = []
        for wish in wishes:
            rows = found.get(wish.id, [])
            if any(row.job_id == wish.id for row in rows):
                # A repetition: the job is there, or was.
                del self._open[wish.id]
            elif holder := next((row for row in rows if row.place == HOLDS), None):
                if holder.is_stale:
                    stale += [holder.job_id] if holder.job_id in self._locked else []
                else:
                    self._answer(wish, holder, rows)
        self._win()
        if stale:
            begun = unique_release.free(self._transactions, self._connection, sorted(stale))
            moments.record(self._transactions, self._connection, begun, Move.WAKE.value)

    def _lock(self, wishes: Sequence[Wish], found: Mapping[str, Sequence[AnyRow]]) -> bool:
        """Lock the jobs that would be changed, or are to be taken their keys; True if there are any."""
        ids = {
            row.job_id
            for wish in wishes
            for row in found.get(wish.id, ())
            if row.job_id != wish.id and (row.is_stale or wish.key.policy.on_conflict not in _LEAVES_ALONE)
        } - self._locked
        for chunk in chunked([{"id": job_id} for job_id in sorted(ids)], _few):
            self._run(unique.lock(), packed_with_ids(chunk))
        self._locked |= ids
        return bool(ids)

    def _answer(self, wish: Wish, row: AnyRow, rows: Sequence[AnyRow]) -> None:
        holder = Holder(JobId(row.job_id), JobState(row.state or JobState.COMPLETED), bool(row.was_claimed))
        conflict = resolve(wish.key.policy, holder)
        if conflict not in {"returned", "dropped"} and row.job_id not in self._locked:
            return
        if conflict == "superseded":
            self._superseded[row.job_id] = wish
        elif conflict == "waits":
            before = [one.job_id for one in rows if one.place == WAITS]
            if self._locked.issuperset(before):
                self._superseded |= dict.fromkeys(before, wish)
                self._awaited[row.job_id] = wish
        else:
            if conflict not in {"returned", "dropped"}:
                self._changes.append((wish, row.job_id, conflict))
            self._met.owners[wish.id] = row.job_id
            self._met.states[row.job_id] = holder.state
            self._met.conflicts[wish.id] = conflict
            del self._open[wish.id]

    def _win(self) -> None:
        """Let the newest win: cancel jobs that wait, ask those that run to end, and wait for them."""
        for job_ids in chunked(sorted(self._superseded), _few):
            batch = packed_with_ids([_superseded(job_id, self._superseded[job_id]) for job_id in job_ids])
            moved = self._run(unique.supersede(), batch).all()
            moments.record(self._transactions, self._connection, moved, Move.CANCEL.value)
        for wish in self._superseded.values():
            self._met.conflicts[wish.id] = "superseded"
        for job_ids in chunked(sorted(self._awaited), _few):
            batch = packed_with_ids([_superseded(job_id, self._awaited[job_id]) for job_id in job_ids])
            self._run(unique.ask_to_end(), batch)
        waits = self._take(WAITS, sorted(self._awaited.values(), key=lambda wish: wish.key.digest))
        for holder, wish in self._awaited.items():
            if wish.id in waits:
                wish.row["waiting_for"] = f"{UNIQUE}{holder}"
                self._met.conflicts[wish.id] = "waits"
        self._superseded.clear()
        self._awaited.clear()

    def _change(self) -> None:
        """Give the jobs that wait what was asked for in their place; they are locked."""
        heavy: Bodies = {}
        batch: list[dict[str, Any]] = [
            {
                **{name: wish.row[name] for name in ("version", "trace", "run_at", "delay")},
                "id": job_id,
                "arguments": self._payloads.part(job_id, wish.row["arguments"], heavy),
                "longest": wish.key.policy.longest_seconds if conflict == "moved" else None,
                "age": self._total_age_seconds,
            }
            for wish, job_id, conflict in sorted(self._changes, key=lambda change: change[1])
        ]
        for chunk in chunked(batch, lambda row: len(row["arguments"]) + _FEW_CHARACTERS):
            moved = self._run(unique.change(), packed_with_ids(chunk)).all()
            changed = [row.id for row in moved]
            self._payloads.let_go_of_others(self._connection, changed, heavy)
            self._payloads.write(
                self._connection, {key: body for key, body in heavy.items() if key[0] in changed}
            )
            # One policy for all of a call.
            kind = self._changes[0][0].key.policy.on_conflict
            moments.record(self._transactions, self._connection, moved, kind)

    def _run(self, statement: Any, parameters: dict[str, Any]) -> Any:  # noqa: ANN401  a statement and its result
        return self._transactions.run(self._connection, statement, parameters)


def _look(
    transactions: Transactions, connection: Connection, wishes: Sequence[Wish]
) -> dict[str, list[AnyRow]]:
    found: dict[str, list[AnyRow]] = {}
    for chunk in chunked([{"id": wish.id, "digest": wish.key.digest} for wish in wishes], _few):
        for row in transactions.run(connection, unique.look(), packed(chunk)):
            found.setdefault(row.asker, []).append(row)
    return found


def _superseded(job_id: str, wish: Wish) -> dict[str, str]:
    return {"id": job_id, "reason": f"superseded by job {wish.id}"}


def _seconds(policy: Unique) -> float | None:
    return None if policy.seconds is None else bounded_seconds(policy.seconds)


def _few(_: object) -> int:
    return _FEW_CHARACTERS
