"""What only many connections at once can show: races between open transactions, on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import event

from holdfast.jobs.errors import KeyBusy, LeaseLost, LedgerUnavailable
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.outcome import Park, Quarantine
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger import connect
from holdfast.ledger.statements import claim as claims
from holdfast.ledger.statements import maintenance, rota, settle
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


def test_beat_before_death(ledger, worker, transactions):
    """A beat under way keeps the worker alive, and its jobs with it; nobody waits for it (B3)."""
    seen = ledger.workers()[0].beat_seq
    with transactions.engine.connect() as connection:
        transactions.run(connection, worker_statements.beat(worker.id))
        assert not ledger.declare_dead(worker.id, seen)
        connection.commit()
    assert not ledger.declare_dead(worker.id, seen)
    assert ledger.beat(worker.id)


def test_death_before_beat(ledger, worker, transactions, is_waiting):
    """A beat that waits for the death finds itself dead (B3)."""
    with transactions.engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        transactions.run(connection, worker_statements.judge(worker.id, waits=True))
        transactions.run(connection, worker_statements.end(worker.id, 0))
        beat = pool.submit(ledger.beat, worker.id)
        until(is_waiting, what="the beat to wait for the death")
        connection.commit()
        assert not beat.result(10)


def test_claim_holds_death_back_but_no_beat(ledger, worker, transactions, is_waiting):
    """While a claim is under way its worker can beat, and its leave waits for the claim's end."""
    with transactions.engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        assert transactions.run(connection, claims.worker_is_alive(worker.id)).scalar()
        assert ledger.beat(worker.id)
        leave = pool.submit(ledger.retire_worker, worker.id)
        until(is_waiting, what="the leave to wait for the claim")
        connection.commit()
        assert leave.result(10)


def test_a_frozen_claim_holds_up_no_observer(ledger, worker, transactions):
    """A worker that froze in its claim cannot be declared dead yet, and whoever tries does not wait."""
    with transactions.engine.connect() as connection:
        assert transactions.run(connection, claims.worker_is_alive(worker.id)).scalar()
        assert not ledger.declare_dead(worker.id, 0)
        connection.rollback()
    assert ledger.declare_dead(worker.id, 0)


def test_death_before_claim(ledger, worker, transactions, is_waiting):
    """A claim that waits for its worker's death is LeaseLost, and leaves the job available."""
    ledger.enqueue([a_new_job()])
    with transactions.engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        transactions.run(connection, worker_statements.judge(worker.id, waits=True))
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
        settled = pool.submit(ledger.settle, [a_settlement(lease, Park("upstream:x"))])
        session.commit()
        assert "requested" == cancel.result(10)
        assert JobState.CANCELLED == settled.result(10)[0].state
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


def test_restarted_server(ledger, worker):
    """Connections that broke while they were idle cost nobody an error."""
    ledger.enqueue([a_new_job()])
    _end_connections(ledger)
    assert ledger.beat(worker.id)
    _end_connections(ledger)
    assert 1 == len(ledger.claim(worker.id, [ClaimRequest(new_lease_token())], **HOW))


def test_who_is_frozen_in_the_middle_of_a_sweep_keeps_its_rows_no_longer_than_it_may(ledger, config):
    """Others pass over them at first; then the server ends the sleeper's transaction, and they are theirs."""
    ledger.enqueue([a_new_job(delay_seconds=0.01)])
    sleeper = connect(replace(config, idle_transaction_seconds=1))
    with sleeper.session() as session:
        session.connection().exec_driver_sql(f"SET LOCAL search_path TO {config.schema}")
        session.connection().exec_driver_sql("SELECT id FROM jobs FOR UPDATE")
        assert 0 == ledger.stage(10)
        until(lambda: ledger.stage(10) == 1, what="the row to be free")
        session.invalidate()
    sleeper.close()


@pytest.fixture
def lost_reply(ledger, monkeypatch):
    """Let the next COMMIT succeed and its reply get lost."""
    dialect = ledger._engine.dialect  # noqa: SLF001  the fault is injected below the ledger
    commit = dialect.do_commit

    def commit_and_break(connection):
        commit(connection)
        connection.dbapi_connection.close()
        monkeypatch.setattr(dialect, "do_commit", commit)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    return lambda: monkeypatch.setattr(dialect, "do_commit", commit_and_break)


def test_unknown_commit_of_a_claim(ledger, worker, lost_reply):
    """A claim whose reply was lost is asked for again, by its token, and nothing else is taken."""
    ledger.enqueue([a_new_job(), a_new_job()])
    lost_reply()
    (granted,) = ledger.claim(worker.id, [ClaimRequest(new_lease_token())], **HOW)
    assert [granted.lease.token] == [held.token for held in ledger.held(worker.id)]


def test_unknown_commit_of_a_settlement(ledger, claim, lost_reply):
    """A settlement whose reply was lost is found by its token, not taken for a lost lease."""
    job = a_new_job()
    ledger.enqueue([job])
    lease = claim(job.id).lease
    lost_reply()
    assert JobState.COMPLETED == ledger.settle([a_settlement(lease)])[0].state
    assert 3 == len(ledger.history(job.id))
    assert None is ledger.attempts(job.id)[0].late


def test_unknown_commit_of_a_requeue(ledger, claim, lost_reply):
    """What cannot tell whether it was done says that it does not know."""
    job = a_new_job()
    ledger.enqueue([job])
    ledger.settle([a_settlement(claim(job.id).lease, Quarantine(QuarantineReason.PERMANENT))])
    lost_reply()
    with pytest.raises(LedgerUnavailable):
        ledger.requeue(job.id)
    assert (JobState.AVAILABLE, 2) == (ledger.job(job.id).state, ledger.job(job.id).generation)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (rota.heads("w", 2, 1, spares_tasks=False, spares_jobs=False), "ix_jobs_claim"),
        (rota.waiting(), "ix_jobs_claim"),
        (claims.next_apart("w", ("a", "b"), spares_jobs=False), "ix_jobs_apart"),
        (claims.claim("w"), "pk_jobs"),
        (settle.settle(), "pk_jobs"),
        (settle.held("w"), "ix_jobs_held"),
        (maintenance.due(9), "ix_jobs_stage"),
        (maintenance.ringing("e", 9), "ix_jobs_ring"),
        (maintenance.expired(9), "ix_jobs_expire"),
    ],
)
def test_indexes_serve(ledger, transactions, statement, index):
    """Claims and sweeps read their own index, also for a backlog that no statistics know of yet."""
    ledger.enqueue([a_new_job() for _ in range(3000)])
    values = {
        "rows": "[]",
        "ids": "[]",
        "limits": "[]",
        "default_seconds": 1.0,
        "grace_seconds": 1.0,
        "most": 1,
        "least_cohort": 1,
        "most_tenants": 1,
        **{f"{name}_{arm}": 1 for name in ("priority", "most") for arm in range(3)},
        **{f"{name}_{arm}": "a" for name in ("queue", "tenant") for arm in range(3)},
    }
    plans = []

    @event.listens_for(transactions.engine, "before_cursor_execute", retval=True)
    def explain(_connection, _cursor, text, parameters, _context, _many):
        return f"EXPLAIN {text}", parameters

    with transactions.engine.connect() as connection:
        wanted = {
            name: value for name, value in values.items() if name in statement.compile(connection).params
        }
        plans = [str(line) for line in transactions.run(connection, statement, wanted).cursor.fetchall()]
    event.remove(transactions.engine, "before_cursor_execute", explain)
    assert any(index in line for line in plans), plans
    assert not any("Seq Scan on jobs" in line for line in plans), plans


def _end_connections(ledger):
    with ledger.session() as session:
        session.connection().exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database() AND backend_type = 'client backend'"
        )
