"""The tables of the ledger, with the rules that even a wrong program cannot break.

The states, the shape that each state has, and the sizes are CHECK constraints.
Tables carry no schema name: statements get it at execution (`transaction.py`),
so one program can serve many namespaces. Payloads are TEXT: the ledger stores
and returns strict JSON, and never looks into it.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Double,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    and_,
    column,
    false,
    func,
    or_,
    text,
    true,
)

from holdfast.jobs.children import CHILDREN
from holdfast.jobs.codec import LARGEST_BYTES
from holdfast.jobs.concurrency import LIMIT
from holdfast.jobs.ids import LONGEST_JOB_ID
from holdfast.jobs.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from holdfast.jobs.outcome import UPSTREAM
from holdfast.jobs.state import FINAL_STATES, JobState, QuarantineReason
from holdfast.ledger.schema_rules import (
    LARGEST_COUNT,
    LONGEST_DETAIL,
    LONGEST_KEY,
    LONGEST_NAME,
    LONGEST_TAGS,
    counters,
    filled,
    instants,
    one_of,
    same,
    texts,
)
from holdfast.ledger.schema_rules import metadata as metadata  # noqa: PLC0414 -- with all tables in it
from holdfast.ledger.types import Instant


def _is(state: JobState) -> ColumnElement[bool]:
    return column("state", String) == state.value


jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", String(LONGEST_JOB_ID), primary_key=True),
    Column("task", String(LONGEST_NAME), nullable=False),
    Column("version", String(LONGEST_NAME), nullable=False),
    Column("queue", String(LONGEST_NAME), nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("tenant", String(LONGEST_NAME)),
    Column("principal", String(LONGEST_NAME), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("trace", String(LONGEST_NAME)),
    Column("key", String(LONGEST_KEY)),
    Column("soft_timeout_seconds", Double),
    Column("hard_timeout_seconds", Double),
    Column("created_at", Instant, nullable=False),
    Column("run_at", Instant, nullable=False),
    # Of a schedule's job: the tick that it is for.
    Column("scheduled_for", Instant),
    Column("deadline_at", Instant),
    Column("expires_at", Instant, nullable=False),
    # The earlier of deadline_at and expires_at, so that one index serves the sweep.
    Column("ends_at", Instant, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("claims", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("wake_seq", Integer, nullable=False),
    # The number of the last row in job_moments.
    Column("moments", Integer, nullable=False),
    Column("fence_incarnation", Integer, nullable=False),
    Column("fence_counter", Integer, nullable=False),
    Column("lease_token", String(LONGEST_NAME)),
    Column("worker_id", String(LONGEST_NAME)),
    Column("started_at", Instant),
    Column("attempt_ends_at", Instant),
    Column("cancel_requested_at", Instant),
    Column("cancel_reason", String(LONGEST_DETAIL)),
    Column("finished_at", Instant),
    Column("reason", String(32)),
    Column("detail", String(LONGEST_DETAIL)),
    Column("result", Text),
    Column("failure", Text),
    Column("progress", Text),
    Column("next_ring_at", Instant),
    Column("rings", Integer, nullable=False),
    # The broker's epoch at the last ring; empty: not rung yet.
    Column("ring_epoch", String(LONGEST_NAME), nullable=False),
    Column("no_offer_since", Instant),
    # How many jobs may share its isolated process, itself counted; NULL: it runs in a worker (B11).
    Column("cohort", Integer),
    # Deaths of processes that it was suspected of, and those where nothing else ran there.
    Column("crashes", Integer, nullable=False, server_default="0"),
    Column("deaths_alone", Integer, nullable=False, server_default="0"),
    # Of a parked row: what would let it go on, such as `upstream:search`.
    Column("waiting_for", String(LONGEST_NAME)),
    # Of a released row: the right to one call of that upstream, taken in the job's name.
    Column("ticket", String(LONGEST_NAME)),
    # A JSON array of texts, to be read with the row; `job_tags` is what finds it. NULL: none.
    Column("tags", Text),
    # Of a child: whose, and its place in the parent's plan. A place that a newer child has taken is NULL.
    Column("parent_id", String(LONGEST_JOB_ID)),
    Column("child_group", String(LONGEST_NAME)),
    Column("child_position", Integer),
    # Of a parent: the sweep looks after the open ones when it ends without a result.
    Column("has_children", Boolean, nullable=False, server_default=false()),
    # Of a job that a limit counts: together with whom, and how many of those may run at once.
    Column("limit_key", String(LONGEST_NAME)),
    Column("limit_most", Integer),
    # The states in which it holds its row in unique_keys, with spaces between them; NULL: it has none.
    Column("unique_while", String(LONGEST_NAME)),
    CheckConstraint(one_of("state", JobState), name="state"),
    CheckConstraint(or_(column("reason").is_(None), one_of("reason", QuarantineReason)), name="reason"),
    CheckConstraint(same(_is(JobState.QUARANTINED), filled("reason")), name="reason_says_why"),
    CheckConstraint(same(_is(JobState.RUNNING), filled("lease_token")), name="running_has_token"),
    CheckConstraint(same(_is(JobState.RUNNING), filled("worker_id")), name="running_has_worker"),
    CheckConstraint(same(_is(JobState.RUNNING), filled("attempt_ends_at")), name="running_has_end"),
    CheckConstraint(same(one_of("state", FINAL_STATES), filled("finished_at")), name="final_is_finished"),
    CheckConstraint(same(_is(JobState.COMPLETED), filled("result")), name="completed_has_result"),
    CheckConstraint(same(_is(JobState.AVAILABLE), filled("next_ring_at")), name="available_rings"),
    CheckConstraint(same(_is(JobState.PARKED), filled("waiting_for")), name="parked_waits"),
    CheckConstraint(
        or_(column("ticket").is_(None), one_of("state", [JobState.AVAILABLE, JobState.RUNNING])),
        name="ticket_is_in_hand",
    ),
    CheckConstraint(same(filled("limit_key"), filled("limit_most")), name="limit_is_whole"),
    CheckConstraint(column("limit_most").between(1, LARGEST_COUNT), name="limit_most"),
    CheckConstraint(same(filled("child_group"), filled("child_position")), name="child_has_place"),
    CheckConstraint(or_(~filled("child_group"), filled("parent_id")), name="child_has_parent"),
    CheckConstraint(column("child_position").between(0, LARGEST_COUNT), name="child_position"),
    CheckConstraint(column("priority").between(HIGHEST_PRIORITY, LOWEST_PRIORITY), name="priority"),
    CheckConstraint(func.length(column("id")).between(1, LONGEST_JOB_ID), name="id_size"),
    CheckConstraint(column("generation").between(1, LARGEST_COUNT), name="generation"),
    CheckConstraint(column("cohort").between(1, LARGEST_COUNT), name="cohort"),
    *counters(
        "attempt", "claims", "losses", "wake_seq", "moments", "fence_incarnation", "fence_counter", "rings"
    ),
    *counters("crashes", "deaths_alone"),
    # Characters, never more than bytes; the codec holds the limit in bytes.
    *texts(LARGEST_BYTES, "arguments", "result", "failure", "progress"),
    *texts(LONGEST_NAME, "task", "version", "queue", "tenant", "principal", "worker_id", "lease_token"),
    *texts(LONGEST_NAME, "waiting_for", "ticket", "parent_id", "child_group", "limit_key", "unique_while"),
    *texts(LONGEST_DETAIL, "detail", "cancel_reason"),
    *texts(LONGEST_TAGS, "tags"),
    *instants(
        "created_at", "run_at", "deadline_at", "expires_at", "ends_at", "started_at", "attempt_ends_at"
    ),
    *instants("cancel_requested_at", "finished_at", "next_ring_at", "no_offer_since", "scheduled_for"),
    # Room for changes that touch no index (progress, cancel requests, wake-ups): they stay in their page.
    postgresql_with={"fillfactor": 80},
)


def _where(condition: ColumnElement[bool]) -> dict[str, Any]:
    return {"postgresql_where": condition, "sqlite_where": condition}


# Each index but the first is partial: a change of state writes only into those that the new state belongs to.
_state: Final = jobs.c.state
Index("ix_jobs_created", jobs.c.created_at)
_in_turn: Final = (jobs.c.queue, jobs.c.priority, jobs.c.tenant, jobs.c.run_at, jobs.c.id)
# Only an available row has a time to ring (see the checks). Asked so, no other index of those serves, and a
# planner that knows nothing of the table yet cannot take the wrong one.
Index("ix_jobs_claim", *_in_turn, **_where(jobs.c.next_ring_at.is_not(None)))
Index(
    "ix_jobs_apart",
    jobs.c.queue,
    jobs.c.priority,
    jobs.c.run_at,
    jobs.c.id,
    **_where(and_(_state == "available", jobs.c.cohort.is_not(None))),
)
Index("ix_jobs_ring", jobs.c.ring_epoch, jobs.c.next_ring_at, **_where(_state == "available"))
Index("ix_jobs_stage", jobs.c.run_at, **_where(_state == "scheduled"))
Index("ix_jobs_held", jobs.c.worker_id, jobs.c.attempt_ends_at, **_where(_state == "running"))
Index("ix_jobs_expire", jobs.c.ends_at, **_where(_state.in_(["scheduled", "available", "parked"])))
Index("ix_jobs_ended", jobs.c.finished_at, **_where(_state.in_(["completed", "cancelled"])))
Index("ix_jobs_quarantined", jobs.c.finished_at, **_where(_state == "quarantined"))
Index(
    "ix_jobs_parked",
    jobs.c.waiting_for,
    jobs.c.priority,
    jobs.c.tenant,
    jobs.c.run_at,
    jobs.c.id,
    # Says nothing of the state, which follows: a planner without statistics would take another index for it.
    **_where(func.substr(jobs.c.waiting_for, 1, len(UPSTREAM)) == UPSTREAM),
)
Index("ix_jobs_backlog", jobs.c.queue, jobs.c.priority, **_where(jobs.c.waiting_for.is_not(None)))
# Whether a wait is over is asked of the children themselves; each of these answers a part of it at once.
_is_child: Final = jobs.c.parent_id.is_not(None)
_has_failed: Final = _state.in_(["cancelled", "quarantined"])
Index("ix_jobs_children", jobs.c.parent_id, jobs.c.child_group, jobs.c.child_position, **_where(_is_child))
Index(
    "ix_jobs_open_children",
    jobs.c.parent_id,
    jobs.c.child_group,
    **_where(and_(_is_child, _state.in_(["scheduled", "available", "running", "parked"]))),
)
Index(
    "ix_jobs_failed_children",
    jobs.c.parent_id,
    jobs.c.child_group,
    **_where(and_(_is_child, _has_failed)),
)
Index("ix_jobs_awaiting", jobs.c.id, **_where(func.substr(jobs.c.waiting_for, 1, len(CHILDREN)) == CHILDREN))
_is_limited: Final = jobs.c.limit_key.is_not(None)
Index("ix_jobs_in_turn", jobs.c.limit_key, **_where(and_(_is_limited, _state.in_(["running", "available"]))))
Index(
    "ix_jobs_line",
    jobs.c.limit_key,
    jobs.c.priority,
    jobs.c.run_at,
    jobs.c.id,
    **_where(func.substr(jobs.c.waiting_for, 1, len(LIMIT)) == LIMIT),
)
Index("ix_jobs_bereaved", jobs.c.finished_at, **_where(and_(jobs.c.has_children, _has_failed)))
Index("ix_jobs_no_offer", jobs.c.no_offer_since, **_where(jobs.c.no_offer_since.is_not(None)))

attempts: Final = Table(
    "attempts",
    metadata,
    Column("job_id", String(LONGEST_JOB_ID), primary_key=True),
    Column("token", String(LONGEST_NAME), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("fence_incarnation", Integer, nullable=False),
    Column("fence_counter", Integer, nullable=False),
    Column("worker_id", String(LONGEST_NAME), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", String(32)),
    # What was asked for (a digest) and what came of it: a repeated settlement gets the same answer.
    Column("asked", String(64)),
    Column("became", String(16)),
    Column("next_run_at", Instant),
    Column("failure", Text),
    Column("late", Text),
    CheckConstraint(same(filled("ended_at"), filled("outcome")), name="ended_has_outcome"),
    *instants("started_at", "ended_at", "next_run_at"),
    postgresql_with={"fillfactor": 80},
)

job_moments: Final = Table(
    "job_moments",
    metadata,
    Column("job_id", String(LONGEST_JOB_ID), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("detail", String(LONGEST_DETAIL)),
    CheckConstraint(one_of("state", JobState), name="state"),
    *instants("at"),
)

job_keys: Final = Table(
    "job_keys",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("job_id", String(LONGEST_JOB_ID), nullable=False, index=True),
    Column("held_until", Instant, nullable=False, index=True),
    # How the job ended, once its row is pruned.
    Column("became", String(16)),
    *instants("held_until"),
)

tombstones: Final = Table(
    "tombstones",
    metadata,
    Column("job_id", String(LONGEST_JOB_ID), primary_key=True),
    # The digest of the adopted message; empty for jobs that were not adopted.
    Column("digest", String(64), nullable=False),
    Column("until", Instant, nullable=False, index=True),
    Column("became", String(16)),
    *instants("until"),
)

workers: Final = Table(
    "workers",
    metadata,
    Column("id", String(LONGEST_NAME), primary_key=True),
    Column("name", String(LONGEST_NAME), nullable=False),
    Column("host", String(LONGEST_NAME), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(LONGEST_NAME), nullable=False),
    Column("slots", Integer, nullable=False),
    # A JSON array of names.
    Column("queues", Text, nullable=False),
    Column("machine_id", String(LONGEST_NAME), nullable=False),
    Column("started_marker", String(LONGEST_NAME), nullable=False),
    # It runs jobs that have a cohort; who does not say so is of an older version.
    Column("has_lane", Boolean, nullable=False, server_default=true()),
    Column("alive", Boolean, nullable=False),
    Column("beat_seq", BigInteger, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("ended_at", Instant),
    CheckConstraint(column("alive", Boolean) == column("ended_at").is_(None), name="dead_has_end"),
    *instants("started_at", "seen_at", "ended_at"),
    # Each worker writes its row at every beat.
    postgresql_with={"fillfactor": 50},
)

offers: Final = Table(
    "offers",
    metadata,
    Column("worker_id", String(LONGEST_NAME), primary_key=True),
    Column("task", String(LONGEST_NAME), primary_key=True),
    Column("version", String(LONGEST_NAME), primary_key=True),
    Column("queue", String(LONGEST_NAME), nullable=False),
    Column("schema", Text, nullable=False),
    Column("isolated", Boolean, nullable=False, server_default=false()),
    Index("ix_offers_task_version", "task", "version"),
)

leaders: Final = Table(
    "leaders",
    metadata,
    Column("role", String(64), primary_key=True),
    Column("worker_id", String(LONGEST_NAME), nullable=False),
    Column("until", Instant, nullable=False),
    *instants("until"),
)

queue_pauses: Final = Table(
    "queue_pauses",
    metadata,
    Column("queue", String(LONGEST_NAME), primary_key=True),
    Column("paused_at", Instant, nullable=False),
    Column("reason", String(LONGEST_DETAIL), nullable=False, server_default=text("''")),
    *instants("paused_at"),
)

quarantined_messages: Final = Table(
    "quarantined_messages",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("queue", String(LONGEST_NAME), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("detail", String(LONGEST_DETAIL), nullable=False),
    Column("source", String(LONGEST_NAME), nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    # Everything but the body, as JSON. NULL: `raw` is all there was; empty: it could not be kept.
    Column("envelope", Text),
    Column("replays", Integer, nullable=False, server_default="0"),
    # NULL again when the message comes back.
    Column("replayed_at", Instant),
    CheckConstraint(one_of("reason", QuarantineReason), name="reason"),
    Index("uq_quarantined_messages_queue_digest", "queue", "digest", unique=True),
    *instants("first_seen_at", "last_seen_at", "replayed_at"),
    *counters("replays"),
    # Else the next message would get the number of the one that was dropped last.
    sqlite_autoincrement=True,
)

meta: Final = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", String(LONGEST_NAME), nullable=False),
    Column("changed_at", Instant, nullable=False),
    *instants("changed_at"),
)

health_probe: Final = Table(
    "health_probe",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    *instants("at"),
)
