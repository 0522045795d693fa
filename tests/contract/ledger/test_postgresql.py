"""What only many connections at once can show: races between open transactions, on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from holdfast.jobs.errors import KeyBusy, LeaseLost
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.outcome import Park
from holdfast.jobs.state import JobState
from holdfast.ledger import connect
from holdfast.ledger.statements import claim as claims
from holdfast.ledger.statements import workers as worker_statements
from holdfast.ledger.transaction import Transactions
from holdfast.tests.support.builders import a_new_job, a_settlement
from holdfast.tests.support.waiting import until

HOW = {"queues": ["default"], "default_attempt_seconds": 60.0, "hard_limits": {}}


@pytest.fixture
def database_url(postgres_url):
    """PostgreSQL only: SQLite has one writer at a time."""
    return postgres_url


@pytest.fixture
def transactions(ledger, config):
    """Our statements on connections that the test holds open."""
    with ledger.session() as session:
        engine = session.get_bind()
    return Transactions(engine, schema=config.schema)


@pytest.fixture
def is_waiting(ledger):
    """Tell whether some statement waits for a lock."""

    def ask():
        with ledger.session() as session:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            return session.connection().exec_driver_sql(waiting).scalar() > 0

    return ask


def test_invisible_rival(config):
    """A key that an open transaction is taking is KeyBusy in the end, never a unique violation."""
    ledger = connect(replace(config, lock_timeout_seconds=0.2))
    with ledger.session() as rival, ledger.session() as session:
        ledger.enqueue([a_new_job(key="k")], connection=rival.connection())
        with pytest.raises(KeyBusy):
            ledger.enqueue([a_new_job(key="k")], connection=session.connection())
        with pytest.raises(KeyBusy):
            ledger.enqueue([a_new_job(key="k")])
        session.rollback()
        repeatable = session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        repeatable.exec_driver_sql("SELECT 1")
        rival.commit()
        with pytest.raises(KeyBusy):
            ledger.enqueue([a_new_job(key="k")], connection=repeatable)
    ledger.close()


@pytest.mark.parametrize("seconds", ["'Infinity'", "'NaN'", "-1"])
def test_absurd_limit(ledger, claim, by_hand, seconds):
    """A timeout that is no number, written by hand, does not stop the claim."""
    job = a_new_job()
    ledger.enqueue([job])
    by_hand(f"UPDATE jobs SET hard_timeout_seconds = {seconds} WHERE id = :id", id=job.id)  # noqa: S608  from the list above
    assert job.id == claim().lease.job_id


def test_beat_before_death(ledger, worker, transactions, is_waiting):
    """A beat that commits while the death waits for it keeps the worker alive, and its jobs with it (B3)."""
    seen = ledger.workers()[0].beat_seq
    with transactions.engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        transactions.run(connection, worker_statements.beat(worker.id))
        death = pool.submit(ledger.declare_dead, worker.id, seen)
        until(is_waiting, what="the death to wait for the beat")
        connection.commit()
        assert not death.result(10)
    assert ledger.beat(worker.id)


def test_death_before_beat(ledger, worker, transactions, is_waiting):
    """A beat that waits for the death finds itself dead (B3)."""
    with transactions.engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        transactions.run(connection, worker_statements.judge(worker.id))
        transactions.run(connection, worker_statements.end(worker.id, 0))
        beat = pool.submit(ledger.beat, worker.id)
        until(is_waiting, what="the beat to wait for the death")
        connection.commit()
        assert not beat.result(10)


def test_claim_holds_death_back_but_no_beat(ledger, worker, transactions, is_waiting):
    """While a claim is under way its worker can beat, and its death waits for the claim's end."""
    with transactions.engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        assert transactions.run(connection, claims.worker_is_alive(worker.id)).scalar()
        assert ledger.beat(worker.id)
        death = pool.submit(ledger.declare_dead, worker.id, 1)
        until(is_waiting, what="the death to wait for the claim")
        connection.commit()
        assert death.result(10)


def test_death_before_claim(ledger, worker, transactions, is_waiting):
    """A claim that waits for its worker's death is LeaseLost, and leaves the job available."""
    ledger.enqueue([a_new_job()])
    with transactions.engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        transactions.run(connection, worker_statements.judge(worker.id))
        transactions.run(connection, worker_statements.end(worker.id, 0))
        claim = pool.submit(ledger.claim, worker.id, [ClaimRequest(new_lease_token())], **HOW)
        until(is_waiting, what="the claim to wait for the death")
        connection.commit()
        with pytest.raises(LeaseLost):
            claim.result(10)
    assert [JobState.AVAILABLE] == [count.state for count in ledger.counts()]


def test_cancel_while_settling(ledger, worker, claim, is_waiting):
    """A cancel that commits while a park waits for the row turns the park into cancelled (B19)."""
    job = a_new_job()
    ledger.enqueue([job])
    lease = claim(job.id).lease
    with ledger.session() as session, ThreadPoolExecutor(1) as pool:
        ledger.check_lease_in(session.connection(), lease)
        cancel = pool.submit(ledger.cancel, job.id, "changed my mind")
        until(is_waiting, what="the cancel to wait for the row")
        settle = pool.submit(ledger.settle, [a_settlement(lease, Park("upstream:x"))])
        session.commit()
        assert "requested" == cancel.result(10)
        assert JobState.CANCELLED == settle.result(10)[0].state
    assert "changed my mind" == ledger.job(job.id).detail


def test_sweeps_pass_over_locked_rows(ledger, worker, claim):
    """A row locked by somebody's long transaction is left out of the sweeps, which do not wait."""
    locked, free = a_new_job(), a_new_job()
    ledger.enqueue([locked, free])
    leases = [claim(job.id).lease for job in (locked, free)]
    ledger.retire_worker(worker.id)
    with ledger.session() as session:
        ledger.check_lease_in(session.connection(), leases[0])
        assert [free.id] == [leftover.job_id for leftover in ledger.rescue(10)]
    assert [locked.id] == [leftover.job_id for leftover in ledger.rescue(10)]


def test_opposite_batches(ledger, worker):
    """Two batches over the same jobs in opposite orders both end, and each job has one ending."""
    jobs = [a_new_job() for _ in range(20)]
    ledger.enqueue(jobs)
    granted = ledger.claim(worker.id, [ClaimRequest(new_lease_token(), job.id) for job in jobs], **HOW)
    settlements = [a_settlement(one.lease) for one in granted]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ledger.settle, [settlements, settlements[::-1]]))
    assert 40 == sum(one.state is JobState.COMPLETED for answer in answers for one in answer)
    assert all(3 == len(ledger.history(job.id)) for job in jobs)
