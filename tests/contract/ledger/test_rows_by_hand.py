"""Rows written by hand: stopped by the tables, or read without harm; never a stop for the others (G5)."""

import pytest
from sqlalchemy.exc import DBAPIError

from holdfast.jobs.errors import LedgerError
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.records import MessageFilter
from holdfast.tests.support.builders import a_new_job, a_settlement, a_worker

HOW = {"queues": ["default"], "default_attempt_seconds": 60.0, "hard_limits": {}}


@pytest.mark.parametrize(
    "change",
    [
        "state = 'finished'",
        "state = 'running'",
        "state = 'completed'",
        "state = 'quarantined', finished_at = run_at, next_ring_at = NULL",
        "state = 'parked'",
        "reason = 'permanent'",
        "lease_token = 'x'",
        "worker_id = 'x'",
        "finished_at = run_at",
        "result = '1'",
        "next_ring_at = NULL",
        "priority = 10",
        "priority = -1",
        "attempt = -1",
        "claims = 1000000001",
        "generation = 0",
        "task = NULL",
        "id = ''",
    ],
)
def test_the_tables_refuse(ledger, by_hand, change):
    """A state that does not exist, or a shape that its state does not have, cannot be written at all."""
    job = a_new_job()
    ledger.enqueue([job])
    with pytest.raises(DBAPIError):
        by_hand(f"UPDATE jobs SET {change}")  # noqa: S608  from the list above
    assert JobState.AVAILABLE == ledger.job(job.id).state


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type":1}', '"x"', '{"done":"x"}', "{" * 500, '{"a":NaN}'])
def test_bad_json_columns(ledger, worker, claim, by_hand, text):
    """What is no failure, progress or JSON at all is shown as such, and the job runs on."""
    job = a_new_job()
    ledger.enqueue([job])
    by_hand("UPDATE jobs SET failure = :text, progress = :text, arguments = :text", text=text)
    assert [job.id] == [one.id for one in ledger.list_jobs()]
    assert ("unreadable", None) == (ledger.job(job.id).failure.type, ledger.job(job.id).progress)
    lease = claim().lease
    by_hand("UPDATE attempts SET failure = :text", text=text)
    assert "unreadable" == ledger.attempts(job.id)[0].failure.type
    assert JobState.COMPLETED == ledger.settle([a_settlement(lease)])[0].state


@pytest.mark.parametrize("depth", [65, 1000, 100_000])
def test_deep_json_is_nobodys_recursion(ledger, worker, claim, by_hand, depth):
    """Arguments, failures and progress nested beyond all sense: read, claimed and swept like any others."""
    job, other = a_new_job(), a_new_job()
    ledger.enqueue([job, other])
    deep = "[" * depth + "]" * depth
    by_hand(
        "UPDATE jobs SET failure = :deep, progress = :deep, arguments = :deep WHERE id = :id",
        deep=deep,
        id=job.id,
    )
    assert {job.id, other.id} == {one.id for one in ledger.list_jobs()}
    assert ("unreadable", None) == (ledger.job(job.id).failure.type, ledger.job(job.id).progress)
    leases = [claim().lease, claim().lease]
    assert [JobState.COMPLETED] * 2 == [
        one.state for one in ledger.settle([a_settlement(lease) for lease in leases])
    ]
    for sweep in (ledger.rescue, ledger.expire, ledger.stage):
        sweep(10)


def test_a_bad_message_row(ledger, by_hand):
    """One whose envelope is nonsense is listed, shown and dropped like any other."""
    how = {"queue": "celery", "reason": QuarantineReason.UNDECODABLE, "detail": "", "source": "w"}
    bad, good = (ledger.quarantine.keep(**how, raw=raw, envelope="{}") for raw in (b"1", b"2"))
    by_hand("UPDATE quarantined_messages SET envelope = :deep WHERE id = :id", deep="[" * 5000, id=bad)
    assert {bad, good} == {one.id for one in ledger.quarantine.listed()}
    assert "[" * 5000 == ledger.quarantine.one(bad).envelope
    ledger.quarantine.drop_one(bad)


def test_bad_worker_row(ledger, worker, by_hand):
    """A worker whose row cannot be read is left out of the list, and the others stay."""
    bad = a_worker()
    ledger.register_worker(bad, [])
    by_hand("UPDATE workers SET queues = 'nonsense' WHERE id = :id", id=bad.id)
    assert [worker.id] == [row.id for row in ledger.workers()]
    assert ledger.beat(bad.id)


class TestWithoutTheTablesHelp:
    """SQLite can be told to ignore its checks, and keeps any value in any column."""

    @pytest.fixture
    def database_url(self, sqlite_url):
        """SQLite only: PostgreSQL's columns have types."""
        return sqlite_url

    @pytest.fixture
    def by_force(self, ledger):
        """Write what the tables forbid."""

        def execute(statement: str, job_id: str) -> None:
            with ledger.session() as session:
                connection = session.connection()
                connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
                connection.exec_driver_sql(statement, (job_id,))
                session.commit()
                session.connection().exec_driver_sql("PRAGMA ignore_check_constraints = OFF")

        return execute

    @pytest.mark.parametrize(
        "change",
        [
            "created_at = 'yesterday'",
            "run_at = 17",
            "expires_at = x'00ff'",
            "attempt = 'many'",
            "arguments = x'00'",
            "hard_timeout_seconds = 'long'",
            "priority = 'first'",
        ],
    )
    def test_an_unreadable_row_stops_nothing(self, ledger, worker, by_force, change):
        """A row that cannot be read is left out, put aside where possible, and stops nothing else."""
        bad, good = a_new_job(priority=0), a_new_job()
        ledger.enqueue([bad, good])
        by_force(f"UPDATE jobs SET {change} WHERE id = ?", bad.id)  # noqa: S608  from the list above
        assert good.id in {job.id for job in ledger.list_jobs()}
        granted = ledger.claim(
            worker.id, [ClaimRequest(new_lease_token(), job.id) for job in (bad, good)], **HOW
        )
        lease = next(one.lease for one in granted if one.lease.job_id == good.id)
        assert JobState.COMPLETED == ledger.settle([a_settlement(lease)])[0].state
        ledger.retire_worker(worker.id)
        for sweep in (ledger.rescue, ledger.expire, ledger.stage):
            sweep(10)

    @pytest.mark.parametrize(
        "change",
        [
            "raw = 'text'",
            "raw = 7",
            "size = 'many'",
            "count = 'often'",
            "reason = 'bad luck'",
            "last_seen_at = 'yesterday'",
            "first_seen_at = 17",
            "replayed_at = x'00'",
            "replays = 'twice'",
            "envelope = x'00'",
            "detail = x'00'",
        ],
    )
    def test_an_unreadable_message_stops_no_list(self, ledger, by_force, change):
        """It is left out, named when it is asked for, counted, and can be dropped."""
        how = {"queue": "celery", "reason": QuarantineReason.UNDECODABLE, "detail": "", "source": "w"}
        bad, good = (ledger.quarantine.keep(**how, raw=raw, envelope="{}") for raw in (b"1", b"2"))
        by_force(f"UPDATE quarantined_messages SET {change} WHERE id = ?", bad)  # noqa: S608  from the list above
        assert [good] == [one.id for one in ledger.quarantine.listed()]
        with pytest.raises(LedgerError, match=f"message {bad}"):
            ledger.quarantine.one(bad)
        assert 2 == ledger.quarantine.count().count
        ledger.quarantine.drop_one(bad)
        assert 1 == ledger.quarantine.drop(MessageFilter(), newest=good)

    @pytest.mark.parametrize("change", ["started_at = 'once'", "number = 'first'", "outcome = x'00'"])
    def test_an_unreadable_attempt_hides_no_other(self, ledger, worker, claim, by_force, change):
        """A job with one is shown, swept and settled all the same."""
        job = a_new_job()
        ledger.enqueue([job])
        first = claim(job.id).lease
        ledger.hand_back([first], "drain")
        lease = claim(job.id).lease
        by_force(f"UPDATE attempts SET {change} WHERE job_id = ? AND ended_at IS NOT NULL", job.id)  # noqa: S608  from the list above
        assert lease.token in {one.token for one in ledger.attempts(job.id)}
        assert JobState.COMPLETED == ledger.settle([a_settlement(lease)])[0].state

    def test_an_unknown_state_is_nobodys(self, ledger, worker, by_force):
        """A row in a state that does not exist is passed over by every verb."""
        bad, good = a_new_job(), a_new_job()
        ledger.enqueue([bad, good])
        by_force("UPDATE jobs SET state = 'finished' WHERE id = ?", bad.id)
        assert [good.id] == [job.id for job in ledger.list_jobs()]
        assert [JobState.AVAILABLE] == [count.state for count in ledger.counts()]
        assert [good.id] == [
            one.lease.job_id for one in ledger.claim(worker.id, [ClaimRequest(new_lease_token())], **HOW)
        ]
        assert ([], [], 0) == (ledger.rescue(10), ledger.expire(10), ledger.stage(10))
