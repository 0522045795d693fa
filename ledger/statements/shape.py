"""What a row looks like in each state: the one function through which a job changes state.

Every way out of a state, and so every way into a final one, takes its columns
from `becoming`; only the claim, which fills the lease, has its own.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, String, and_, case, exists, literal_column, null

from holdfast.jobs.state import FINAL_STATES, JobState
from holdfast.ledger.schema import jobs, offers
from holdfast.ledger.types import Now

Columns = dict[str, ColumnElement[Any]]

WAITING: Final = (JobState.SCHEDULED, JobState.AVAILABLE, JobState.PARKED)

UNIQUE: Final = "unique:"
"""What `waiting_for` begins with where a job waits for the end of the one that holds its unique key."""


def named(word: str) -> ColumnElement[str]:
    """Write one of our own words into the statement itself: partial indexes serve no parameters."""
    if not word.replace("_", "").isalpha():
        raise ValueError(f"{word!r} is not one of our words")
    return literal_column(f"'{word}'", String)


def in_state(*states: JobState) -> ColumnElement[bool]:
    """Tell whether a row is in one of the states."""
    if len(states) == 1:
        return jobs.c.state == named(states[0].value)
    return jobs.c.state.in_([named(state.value) for state in states])


def is_still(*states: JobState) -> ColumnElement[bool]:
    """Tell the same of a row that is looked up by its id.

    Written so that no partial index serves it: with stale statistics the
    planner would take the index over a million available rows for an empty one.
    """
    state = jobs.c.state + literal_column("''", String)
    return state.in_([named(one.value) for one in states])


def becoming(
    target: JobState | ColumnElement[str],
    *,
    reason: ColumnElement[Any] | None = None,
    detail: ColumnElement[Any] | None = None,
    result: ColumnElement[Any] | None = None,
    failure: ColumnElement[Any] | None = None,
    run_at: ColumnElement[Any] | None = None,
    waiting_for: ColumnElement[Any] | None = None,
    ticket: ColumnElement[Any] | None = None,
) -> Columns:
    """Return the columns of a row that leaves its state for `target`, which may be an expression.

    `reason` is kept only if the target is quarantined, `result` only if it is completed,
    `waiting_for` only if it is parked, `ticket` only if it is available.
    """
    nothing: ColumnElement[Any] = null()
    state = named(target.value) if isinstance(target, JobState) else target
    available = state == named(JobState.AVAILABLE.value)
    columns: Columns = {
        "state": state,
        "lease_token": nothing,
        "worker_id": nothing,
        "attempt_ends_at": nothing,
        "finished_at": case((state.in_([named(final.value) for final in sorted(FINAL_STATES)]), Now())),
        "reason": nothing if reason is None else case((state == named(JobState.QUARANTINED.value), reason)),
        "detail": nothing if detail is None else detail,
        "result": nothing if result is None else case((state == named(JobState.COMPLETED.value), result)),
        "next_ring_at": case((available, Now())),
        "rings": literal_column("0"),
        "ring_epoch": literal_column("''"),
        "no_offer_since": nothing,
        "waiting_for": nothing
        if waiting_for is None
        else case((state == named(JobState.PARKED.value), waiting_for)),
        "ticket": nothing if ticket is None else case((available, ticket)),
        "moments": jobs.c.moments + 1,
    }
    if failure is not None:
        columns["failure"] = failure
    if run_at is not None:
        columns["run_at"] = run_at
    return columns


def fenced(job_id: Any, token: Any) -> ColumnElement[bool]:  # noqa: ANN401  a value or an expression
    """Tell whether a row is running under a token: the guard of every write by a worker (B2)."""
    return and_(jobs.c.id == job_id, is_still(JobState.RUNNING), jobs.c.lease_token == token)


MOVED: Final = (
    jobs.c.id,
    jobs.c.task,
    jobs.c.queue,
    jobs.c.state,
    jobs.c.run_at,
    jobs.c.attempt,
    jobs.c.moments,
    jobs.c.reason,
    jobs.c.detail,
    jobs.c.unique_while,
)
"""What every change of state returns."""


def offered_by(worker_id: str) -> ColumnElement[bool]:
    """Tell of a row of `jobs` whether a worker offers its task in its version."""
    return exists().where(
        offers.c.worker_id == worker_id, offers.c.task == jobs.c.task, offers.c.version == jobs.c.version
    )
