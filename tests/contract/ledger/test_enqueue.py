"""Enqueue: all or nothing, once per key, by the database's clock."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import create_engine

from holdfast.jobs.claim_check import LARGEST_EVER_BYTES
from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import IllegalTransition, InvalidArguments, LedgerError
from holdfast.jobs.ids import JobId
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger import LedgerConfig, connect, enqueueing
from holdfast.ledger.upgrade import migrate
from holdfast.tests.support.builders import a_new_job


def test_round_trip(ledger):
    """A job comes back as it was asked for."""
    wanted = a_new_job(
        arguments='{"text":"ünïcode ✓","n":1}',
        version="3",
        priority=2,
        tenant="acme",
        principal="someone",
        soft_timeout_seconds=1.5,
        hard_timeout_seconds=2.5,
        trace="00-abc-def-01",
        key="once",
        deadline_seconds=60.0,
    )
    assert [(wanted.id, True, JobState.AVAILABLE)] == [
        (one.job_id, one.created, one.state) for one in ledger.enqueue([wanted])
    ]
    job = ledger.job(wanted.id)
    for name in [
        "task",
        "arguments",
        "version",
        "queue",
        "priority",
        "tenant",
        "principal",
        "soft_timeout_seconds",
        "hard_timeout_seconds",
        "trace",
        "key",
    ]:
        assert getattr(wanted, name) == getattr(job, name)
    assert (1, 0, 0) == (job.generation, job.attempt, job.claims)
    assert timedelta(seconds=60) == job.deadline_at - job.created_at
    assert timedelta(days=7) == job.expires_at - job.created_at
    assert UTC == job.created_at.tzinfo
    assert ["enqueue"] == [moment.kind for moment in ledger.history(wanted.id)]


def test_nothing_to_do(ledger):
    """An empty batch is no work."""
    assert [] == ledger.enqueue([])


def test_later(ledger):
    """A job for later is scheduled, and its total age counts from then."""
    now = SystemClock().now()
    delayed, dated, past = (
        a_new_job(delay_seconds=3600),
        a_new_job(run_at=now + timedelta(days=30), delay_seconds=1),
        a_new_job(run_at=now - timedelta(days=1)),
    )
    assert [JobState.SCHEDULED, JobState.SCHEDULED, JobState.AVAILABLE] == [
        one.state for one in ledger.enqueue([delayed, dated, past])
    ]
    job = ledger.job(dated.id)
    assert dated.run_at == job.run_at
    # SQLite's arithmetic keeps milliseconds.
    assert abs(timedelta(days=7) - (job.expires_at - job.run_at)) < timedelta(milliseconds=1)
    assert 3590 < (ledger.job(delayed.id).run_at - now).total_seconds() < 3660


@pytest.mark.parametrize("seconds", [float("inf"), 1e300, -5.0, float("nan")])
def test_absurd_delays(ledger, seconds):
    """No number of seconds breaks the database's calendar."""
    job = a_new_job(delay_seconds=seconds)
    state = JobState.SCHEDULED if seconds > 0 else JobState.AVAILABLE
    assert state == ledger.enqueue([job])[0].state
    assert state == ledger.job(job.id).state


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": JobId("a b")}, "job id"),
        ({"id": JobId("")}, "job id"),
        ({"id": JobId("x" * 256)}, "job id"),
        ({"task": "x" * 256}, "task has 256"),
        ({"arguments": "\x00"}, "arguments holds a NUL"),
        ({"arguments": "\ud800"}, "lone surrogate"),
        ({"arguments": "x" * (LARGEST_EVER_BYTES + 1)}, "arguments has"),
        ({"priority": 10}, "priority 10"),
        ({"run_at": datetime(2026, 1, 1)}, "run_at"),  # noqa: DTZ001  the point of the test
        ({"deadline_at": datetime(9999, 1, 1, tzinfo=UTC)}, "deadline_at"),
    ],
)
def test_bad_requests_are_named(ledger, fields, said):
    """What no row can hold is refused with the field's name, and nothing of the batch is written."""
    good = a_new_job()
    with pytest.raises(InvalidArguments, match=said):
        ledger.enqueue([good, a_new_job(**fields)])
    assert {} == ledger.find([good.id])


def test_key(ledger):
    """A second request with the same task and key gets the first job; another task's key is another key."""
    first, second, other = a_new_job(key="k"), a_new_job(key="k"), a_new_job(key="k", task="other.task")
    assert ledger.enqueue([first])[0].created
    again = ledger.enqueue([second, other])
    assert [(first.id, False), (other.id, True)] == [(one.job_id, one.created) for one in again]
    assert {} == ledger.find([second.id])


def test_key_twice_in_one_batch(ledger):
    """Two requests with one key in one batch are one job."""
    jobs = [a_new_job(key="k"), a_new_job(key="k"), a_new_job()]
    answers = ledger.enqueue(jobs)
    assert [(jobs[0].id, True), (jobs[0].id, False), (jobs[2].id, True)] == [
        (one.job_id, one.created) for one in answers
    ]


def test_key_is_free_after_its_time(ledger):
    """A key whose time is over is taken by the next job."""
    first, second = a_new_job(key="k", key_seconds=0.0), a_new_job(key="k")
    ledger.enqueue([first])
    assert [(second.id, True)] == [(one.job_id, one.created) for one in ledger.enqueue([second])]


def test_key_outlives_its_job(ledger, claim):
    """A key is remembered for its time, though the job is pruned."""
    first = a_new_job(key="k")
    ledger.enqueue([first])
    ledger.cancel(first.id)
    assert 1 == ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    answer = ledger.enqueue([a_new_job(key="k")])[0]
    assert (first.id, False, JobState.CANCELLED) == (answer.job_id, answer.created, answer.state)


def test_known_id(ledger):
    """The same id a second time is the row that exists."""
    job = a_new_job()
    ledger.enqueue([job])
    assert [(job.id, False)] == [
        (one.job_id, one.created) for one in ledger.enqueue([replace(job, task="other")])
    ]
    assert job.task == ledger.job(job.id).task


def test_key_race(ledger):
    """Of many threads that enqueue one key at once, one creates the job and all get its id."""
    barrier = Barrier(6)

    def run(_):
        barrier.wait()
        return ledger.enqueue([a_new_job(key="race"), a_new_job(key="race-2")])

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(run, range(6)))
    for place in (0, 1):
        assert 1 == len({answer[place].job_id for answer in answers})
        assert 1 == sum(answer[place].created for answer in answers)


def test_bulk(ledger):
    """Thousands of jobs are written in one go, all available."""
    jobs = [a_new_job() for _ in range(2500)]
    assert 2500 == sum(one.created for one in ledger.enqueue(jobs))
    assert [("default", JobState.AVAILABLE, 2500)] == [
        (count.queue, count.state, count.count) for count in ledger.counts()
    ]


def test_too_many_for_one_writer(ledger, config, monkeypatch):
    """SQLite refuses a batch that would starve the heartbeats; PostgreSQL takes it."""
    monkeypatch.setattr(enqueueing, "MOST_ON_SQLITE", 10)
    jobs = [a_new_job() for _ in range(11)]
    if config.url.startswith("postgresql"):
        assert 11 == len(ledger.enqueue(jobs))
        return
    with pytest.raises(InvalidArguments, match="at most 10 at a time"):
        ledger.enqueue(jobs)
    assert 10 == len(ledger.enqueue(jobs[:10]))


def test_in_the_callers_transaction(ledger):
    """A job enqueued in the caller's transaction commits or vanishes with it."""
    kept, dropped = a_new_job(key="a"), a_new_job(key="b")
    with ledger.session() as session:
        assert ledger.enqueue([kept], connection=session.connection())[0].created
        session.commit()
        ledger.enqueue([dropped], connection=session.connection())
        session.rollback()
    assert {kept.id} == set(ledger.find([kept.id, dropped.id]))
    assert ledger.enqueue([dropped])[0].created


def test_foreign_database(ledger, tmp_path):
    """A session on another database, or another ledger, is refused with a hint."""
    engine = create_engine(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    with engine.connect() as connection, pytest.raises(LedgerError, match="has no ledger"):
        ledger.enqueue([a_new_job()], connection=connection)
    engine.dispose()
    other_config = LedgerConfig(url=f"sqlite:///{tmp_path / 'third.sqlite3'}")
    migrate(other_config)
    other = connect(other_config)
    with other.session() as session, pytest.raises(LedgerError):
        ledger.enqueue([a_new_job()], connection=session.connection())
    other.close()


def test_adopt_once(ledger):
    """A foreign message becomes a job once; the same again is known, another with its id is not."""
    job = a_new_job(id=JobId("daily-report"))
    assert "adopted" == ledger.adopt(job, "d1")
    assert "known" == ledger.adopt(job, "d1")
    assert "id_reused" == ledger.adopt(job, "d2")
    assert JobState.AVAILABLE == ledger.job(job.id).state


def test_adopted_id_outlives_its_row(ledger):
    """A message that comes back after its job was pruned is known, and not run again."""
    job = a_new_job()
    ledger.adopt(job, "d1")
    ledger.cancel(job.id)
    ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    assert ledger.tombstone(job.id)
    assert "known" == ledger.adopt(job, "d1")
    assert {} == ledger.find([job.id])


def test_adopt_meets_a_job_of_ours(ledger):
    """A foreign message with the id of an enqueued job is refused, twice the same."""
    job = a_new_job()
    ledger.enqueue([job])
    assert ["id_reused", "id_reused"] == [ledger.adopt(job, "d1"), ledger.adopt(job, "d1")]


def test_refuse(ledger):
    """A message that may not run answers under its id as quarantined; it has no arguments to run with."""
    job = a_new_job()
    assert "adopted" == ledger.refuse(job, QuarantineReason.INVALID_PAYLOAD, "chords are not taken", "d1")
    found = ledger.job(job.id)
    assert (JobState.QUARANTINED, QuarantineReason.INVALID_PAYLOAD, "chords are not taken") == (
        found.state,
        found.reason,
        found.detail,
    )
    with pytest.raises(IllegalTransition, match="Replay the message"):
        ledger.requeue(job.id)
