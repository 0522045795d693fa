"""Real deadlocks, real serialization failures: repeated inside, with an end; a clear error outside."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import event

from holdfast.jobs.errors import KeyBusy, LedgerUnavailable
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.state import JobState
from holdfast.jobs.unique import Unique, key_of
from holdfast.ledger import connect
from holdfast.ledger.transaction import MOST_TRIES
from holdfast.tests.support.builders import TASK, a_new_job, a_settlement, a_worker
from holdfast.tests.support.waiting import until

HOW = {"queues": ["default"], "default_attempt_seconds": 60.0, "hard_limits": {}}
LOCK = "SELECT 1 FROM holdfast_test.jobs WHERE id = %s FOR UPDATE"
REPEATING = "repeating settle after conflict"


@pytest.fixture
def database_url(postgres_url):
    """PostgreSQL only: SQLite has one writer at a time."""
    return postgres_url


@pytest.fixture
def rival(postgres_server, config):
    """Another connection, which is never the victim of a deadlock."""
    with postgres_server.connect(config.url.rpartition("/")[2]) as connection:
        connection.execute("SET deadlock_timeout = '60s'")
        connection.autocommit = False
        yield connection


@pytest.fixture
def strict(config, postgres_server):
    """The ledger as it is where somebody made REPEATABLE READ the database's default."""
    with postgres_server.connect() as admin:
        name = config.url.rpartition("/")[2]
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    strict = connect(config)
    yield strict
    strict.close()


@pytest.fixture
def granted(ledger, worker):
    """Two running jobs, in the order in which they are locked."""
    ledger.enqueue([a_new_job(), a_new_job()])
    claims = ledger.claim(worker.id, [ClaimRequest(new_lease_token()) for _ in range(2)], **HOW)
    return sorted((claim.lease for claim in claims), key=lambda lease: lease.job_id)


def test_a_deadlock_is_repeated_until_it_is_gone(ledger, granted, rival, postgres_server, caplog):
    """The database ends our transaction for a rival that went the other way round; all is written once."""
    first, second = granted
    rival.execute(LOCK, (second.job_id,))
    with caplog.at_level(logging.INFO), ThreadPoolExecutor(2) as pool:
        settled = pool.submit(ledger.settle, [a_settlement(first), a_settlement(second)])
        until(lambda: waiting(postgres_server) == 1, what="the settle to wait for the rival")
        crossed = pool.submit(rival.execute, LOCK, (first.job_id,))
        crossed.result(30)
        rival.commit()
        assert [JobState.COMPLETED] * 2 == [one.state for one in settled.result(30)]
    assert REPEATING in caplog.text
    assert [3, 3] == [len(ledger.history(lease.job_id)) for lease in granted]


def test_a_serialization_failure_is_repeated(strict, granted, rival, postgres_server, caplog):
    """Where REPEATABLE READ is the default, a row that changed under a settle costs a repetition."""
    lease, _ = granted
    rival.execute("UPDATE holdfast_test.jobs SET detail = 'seen' WHERE id = %s", (lease.job_id,))
    with caplog.at_level(logging.INFO), ThreadPoolExecutor(1) as pool:
        settled = pool.submit(strict.settle, [a_settlement(lease)])
        until(lambda: waiting(postgres_server) == 1, what="the settle to wait for the rival")
        rival.commit()
        assert JobState.COMPLETED == settled.result(30)[0].state
    assert REPEATING in caplog.text
    assert 3 == len(strict.history(lease.job_id))


def test_a_conflict_without_an_end_is_a_clear_error(ledger, config, granted, rival, caplog):
    """After a few tries the caller hears that the ledger is not available, and nothing is half written."""
    lease, _ = granted
    rival.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no turn' USING ERRCODE = 'serialization_failure'; END $$"
    )
    # On the table that is written last, after job and attempt.
    rival.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON holdfast_test.job_moments EXECUTE FUNCTION refuse()"
    )
    rival.commit()
    with caplog.at_level(logging.INFO), pytest.raises(LedgerUnavailable, match=r"no turn.*Try again"):
        ledger.settle([a_settlement(lease)])
    assert MOST_TRIES - 1 == caplog.text.count(REPEATING)
    assert JobState.RUNNING == ledger.job(lease.job_id).state
    assert None is ledger.attempts(lease.job_id)[0].ended_at
    rival.execute("DROP TRIGGER refuse ON holdfast_test.job_moments")
    rival.commit()
    assert JobState.COMPLETED == ledger.settle([a_settlement(lease)])[0].state


def test_many_share_a_small_pool(config):
    """Twenty threads on two connections wait in line; nobody hears of it."""
    ledger = connect(replace(config, pool_size=1, pool_overflow=1))
    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda job: ledger.enqueue([job])[0].created, [a_new_job() for _ in range(200)])
        )
    assert [True] * 200 == answers
    ledger.close()


def test_of_two_who_register_under_a_name_the_first_to_commit_is_the_elder(ledger, config, postgres_server):
    """Else each finds itself the elder, and both stay: the time in a row is older than its COMMIT (B5)."""
    slow, quick = a_worker(name="same"), a_worker(name="same")
    commits, may_commit = threading.Event(), threading.Event()
    other = connect(config)

    def hold_up(_connection):
        commits.set()
        assert may_commit.wait(30)

    event.listen(other._engine, "commit", hold_up)  # noqa: SLF001 -- the only place between a row and its COMMIT
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(other.register_worker, slow, [])
        assert commits.wait(30)
        second = pool.submit(ledger.register_worker, quick, [])
        until(lambda: second.done() or waiting(postgres_server) == 1, what="the second to wait its turn")
        was_first = [quick.id, slow.id] if second.done() else [slow.id, quick.id]
        may_commit.set()
        first.result(30)
        second.result(30)
    assert was_first == [worker.id for worker in ledger.workers()]
    other.close()


def test_an_open_transaction_holds_a_unique_key(ledger):
    """Who asks meanwhile waits for its end, as long as a lock is waited for; then the answer is clear."""
    first, second = (a_new_job(unique=key_of(TASK, None, "{}", Unique())) for _ in range(2))
    with ThreadPoolExecutor(1) as pool, ledger.session() as session:
        ledger.enqueue([first], connection=session.connection())
        waiting = pool.submit(ledger.enqueue, [second])
        with pytest.raises(KeyBusy):
            waiting.result(30)
        waiting = pool.submit(ledger.enqueue, [second])
        session.rollback()
        assert waiting.result(30)[0].created


def waiting(server):
    """Count the statements that wait for a lock."""
    with server.connect() as connection:
        return connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        ).fetchone()[0]
