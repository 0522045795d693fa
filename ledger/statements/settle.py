"""The end of attempts: one fenced statement for a batch of any outcomes."""

from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Double,
    Insert,
    Integer,
    Select,
    String,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    func,
    null,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.functions import coalesce

from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.batch import Batch, is_named
from holdfast.ledger.schema import attempts, jobs
from holdfast.ledger.statements.shape import MOVED, becoming, fenced, in_state, named
from holdfast.ledger.types import Now, SecondsBetween, now_plus

MOST_CLAIMS: Final = 1000
"""Claims of one generation; what gives its attempts back cannot go on for ever (B25)."""
MOST_LOSSES: Final = 20
"""Losses in a row without a settlement between them (B11)."""
MOST_DEATHS_ALONE: Final = 2
"""Processes that died by a job that was alone in them, before it is quarantined as poison (B11)."""

THE_JOB: Final = "the_job"
THE_TOKEN: Final = "the_token"  # noqa: S105  the name of a parameter
PROGRESS: Final = "new_progress"
SECONDS: Final = "seconds"

_GIVES_BACK: Final = ("snooze", "park", "hand_back", "lost", "crashed")
_NOT_FINAL: Final = ("retry", "snooze", "park", "hand_back", "lost", "overran", "crashed")
_LOSSES: Final = ("lost", "overran", "crashed")
_PEACEFUL: Final = ("complete", "retry", "snooze", "park", "cancel", "quarantine")


@cache
def lock() -> Select[*tuple[Any, ...]]:
    """Lock a batch's rows in order of their ids, so that two batches cannot block each other."""
    return select(jobs.c.id).where(is_named(jobs.c.id)).order_by(jobs.c.id).with_for_update(key_share=True)


@cache
def settle() -> Update:
    """End the running attempts of a batch, each only if its token still holds the row.

    A pending cancel beats every outcome that is not final (B19); what would
    miss its end, or was claimed too often, is quarantined (B25); a job that was
    woken since it decided to park becomes available instead (B14). A job that
    was suspected of a process's death is cleared by its first peaceful end (B11).
    """
    rows = Batch()
    verdict = _Verdict(rows)
    columns = becoming(
        verdict.state,
        reason=verdict.reason,
        detail=verdict.detail,
        result=rows.text("result"),
        failure=case(
            (verdict.is_kind("complete"), null()), else_=coalesce(rows.text("failure"), jobs.c.failure)
        ),
        run_at=case((verdict.state == named("scheduled"), verdict.next_run_at), else_=jobs.c.run_at),
        waiting_for=rows.text("waiting_for"),
    )
    gives_back = and_(verdict.is_kind(*_GIVES_BACK), jobs.c.attempt > 0)
    return (
        jobs.update()
        .values(
            **columns,
            attempt=jobs.c.attempt - case((gives_back, 1), else_=0),
            losses=case((verdict.is_kind(*_LOSSES), jobs.c.losses + 1), else_=0),
            cohort=verdict.cohort,
            crashes=jobs.c.crashes + case((verdict.is_kind("crashed"), 1), else_=0),
            deaths_alone=jobs.c.deaths_alone + case((verdict.is_alone, 1), else_=0),
        )
        .where(is_named(jobs.c.id), fenced(rows.text("id"), rows.text("token")))
        .returning(*MOVED, jobs.c.parent_id, jobs.c.waiting_for, jobs.c.limit_key)
    )


@cache
def end_attempts() -> Update:
    """Write what became of a batch's attempts."""
    rows = Batch()
    return (
        attempts.update()
        .values(
            ended_at=Now(),
            outcome=rows.text("outcome"),
            asked=rows.text("asked"),
            became=rows.text("became"),
            next_run_at=rows.instant("next_run_at"),
            failure=rows.text("failure"),
        )
        .where(
            attempts.c.job_id == rows.text("id"),
            attempts.c.token == rows.text("token"),
            attempts.c.ended_at.is_(None),
        )
    )


@cache
def ended() -> Select[*tuple[Any, ...]]:
    """Read the attempts of a batch that have ended, by token."""
    rows = Batch()
    return select(
        attempts.c.job_id, attempts.c.token, attempts.c.asked, attempts.c.became, attempts.c.next_run_at
    ).where(
        attempts.c.job_id == rows.text("id"),
        attempts.c.token == rows.text("token"),
        attempts.c.ended_at.is_not(None),
    )


@cache
def keep_late() -> Insert:
    """Keep refused outcomes on their attempts, also where a failover forgot the attempt (B16)."""
    rows = Batch()
    source = select(
        jobs.c.id,
        rows.text("token"),
        jobs.c.generation,
        rows.integer("number"),
        rows.integer("incarnation"),
        rows.integer("counter"),
        rows.text("worker_id"),
        Now(),
        Now(),
        named("lost"),
        rows.text("late"),
    ).where(jobs.c.id == rows.text("id"))
    statement = insert(attempts).from_select(
        [
            "job_id",
            "token",
            "generation",
            "number",
            "fence_incarnation",
            "fence_counter",
            "worker_id",
            "started_at",
            "ended_at",
            "outcome",
            "late",
        ],
        source,
    )
    return statement.on_conflict_do_update(
        index_elements=["job_id", "token"],
        set_={"late": statement.excluded.late},
        where=attempts.c.late.is_(None),
    )


@cache
def hold() -> Select[*tuple[Any, ...]]:
    """Lock a row that is ours until the end of the transaction."""
    return select(jobs.c.id).where(_fenced_by_parameters()).with_for_update(key_share=True)


@cache
def progress() -> Update:
    """Say how far a running job is."""
    return (
        jobs.update()
        .values(progress=bindparam(PROGRESS, type_=Text()))
        .where(_fenced_by_parameters())
        .returning(jobs.c.id)
    )


@cache
def prolong() -> Update:
    """Move the ends of a batch's running attempts, where they are earlier."""
    rows = Batch()
    end = now_plus(bindparam(SECONDS, type_=Double()))
    return (
        jobs.update()
        .values(attempt_ends_at=end)
        .where(is_named(jobs.c.id), fenced(rows.text("id"), rows.text("token")), jobs.c.attempt_ends_at < end)
    )


@cache
def owned() -> Select[*tuple[Any, ...]]:
    """Read which rows of a batch still run under their tokens."""
    rows = Batch()
    return select(jobs.c.id, jobs.c.lease_token).where(
        is_named(jobs.c.id), fenced(rows.text("id"), rows.text("token"))
    )


@lru_cache(maxsize=64)
def held(worker_id: str) -> Select[*tuple[Any, ...]]:
    """Read the running rows of a worker."""
    return select(
        jobs.c.id, jobs.c.lease_token, jobs.c.cancel_requested_at.is_not(None).label("cancels")
    ).where(in_state(JobState.RUNNING), jobs.c.worker_id == worker_id)


@lru_cache(maxsize=64)
def left_behind(worker_id: str) -> Select[*tuple[Any, ...]]:
    """Read what a worker ran, for how long, and what was last heard of it."""
    return (
        select(
            jobs.c.id,
            jobs.c.lease_token,
            SecondsBetween(jobs.c.started_at, Now()).label("seconds"),
            jobs.c.progress,
        )
        .where(in_state(JobState.RUNNING), jobs.c.worker_id == worker_id)
        .order_by(jobs.c.id)
    )


def _fenced_by_parameters() -> ColumnElement[bool]:
    return fenced(bindparam(THE_JOB, type_=String()), bindparam(THE_TOKEN, type_=String()))


class _Verdict:
    """What becomes of a row, decided in the database from the row as it is then."""

    def __init__(self, rows: Batch) -> None:
        self._rows = rows
        self._kind = rows.text("kind")
        at_least_now = case((rows.instant("until") > Now(), rows.instant("until")), else_=Now())
        self.next_run_at: ColumnElement[Any] = case(
            (rows.text("until").is_not(None), at_least_now), else_=now_plus(rows.number("delay"))
        )
        self._cancels = and_(self.is_kind(*_NOT_FINAL), jobs.c.cancel_requested_at.is_not(None))
        self._lost_too_often = and_(self.is_kind(*_LOSSES), jobs.c.losses + 1 >= MOST_LOSSES)
        self.is_alone = and_(self.is_kind("crashed"), rows.integer("alone") == 1)
        self._is_poison = and_(self.is_alone, jobs.c.deaths_alone + 1 >= MOST_DEATHS_ALONE)
        gives_back_too_often = self.is_kind("retry", "snooze", "park", "hand_back")
        self._claimed_too_often = and_(gives_back_too_often, jobs.c.claims >= MOST_CLAIMS)
        self._is_woken = rows.integer("seen") != jobs.c.wake_seq
        # Of a park, the time before which nobody lets it go on; there need not be one.
        waits_long = and_(self.is_kind("park"), ~self._is_woken, rows.number("delay") > 0)
        waits = or_(self.is_kind("retry", "snooze"), waits_long)
        self._too_late = and_(waits, self.next_run_at >= jobs.c.ends_at)

    def is_kind(self, *kinds: str) -> ColumnElement[bool]:
        return self._kind.in_([named(kind) for kind in kinds])

    @property
    def state(self) -> ColumnElement[str]:
        return case(
            (self.is_kind("complete"), named("completed")),
            (self.is_kind("quarantine"), named("quarantined")),
            (self.is_kind("cancel"), named("cancelled")),
            (self._cancels, named("cancelled")),
            (self._is_poison, named("quarantined")),
            (self._lost_too_often, named("quarantined")),
            (self._claimed_too_often, named("quarantined")),
            (self._too_late, named("quarantined")),
            (self.is_kind("retry", "snooze"), named("scheduled")),
            (and_(self.is_kind("park"), ~self._is_woken), named("parked")),
            else_=named("available"),
        )

    @property
    def reason(self) -> ColumnElement[Any]:
        return case(
            (self.is_kind("quarantine"), self._rows.text("reason")),
            (self._is_poison, named(QuarantineReason.POISON.value)),
            (self._lost_too_often, named(QuarantineReason.LOST_REPEATEDLY.value)),
            (self._claimed_too_often, named(QuarantineReason.ATTEMPTS_EXHAUSTED.value)),
            (self._too_late, named(QuarantineReason.DEADLINE.value)),
        )

    @property
    def cohort(self) -> ColumnElement[Any]:
        # Isolated tasks were never suspected; a second suspicion, or a death of its own, is not forgotten.
        was_only_near = and_(jobs.c.crashes == 1, jobs.c.deaths_alone == 0)
        return case(
            (self.is_kind("crashed"), self._rows.integer("cohort")),
            (and_(self.is_kind(*_PEACEFUL), was_only_near), null()),
            else_=jobs.c.cohort,
        )

    @property
    def detail(self) -> ColumnElement[Any]:
        over = cast(cast(func.round(SecondsBetween(jobs.c.ends_at, self.next_run_at)), Integer), String)
        asked = self._rows.text("detail")
        has_deadline = jobs.c.deadline_at <= jobs.c.expires_at
        missed = case(
            (has_deadline, cast("would miss the deadline by ", Text)),
            else_=cast("would outlive its total age by ", Text),
        )
        waited_for = coalesce(cast(", waiting for ", Text) + self._rows.text("waiting_for"), cast("", Text))
        return case(
            (or_(self._cancels, self.is_kind("cancel")), coalesce(jobs.c.cancel_reason, asked)),
            (self._is_poison, cast("process after process died that ran nothing else", Text)),
            (self._lost_too_often, cast(f"its worker was lost {MOST_LOSSES} times in a row", Text)),
            (self._claimed_too_often, cast(f"claimed {MOST_CLAIMS} times without an end", Text)),
            (self._too_late, missed + over + cast(" s", Text) + waited_for),
            else_=asked,
        )
