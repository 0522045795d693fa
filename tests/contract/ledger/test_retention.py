"""Jobs are kept as long as their task and their end say, and pruned in batches."""

import pytest

from holdfast.jobs.outcome import Quarantine
from holdfast.jobs.retention import RetentionPolicy
from holdfast.jobs.state import QuarantineReason
from holdfast.ledger import retention
from holdfast.tests.support.builders import TASK, a_failure, a_new_job, a_settlement

HOUR = 3600.0


def policy(*entries):
    """Keep jobs for a hundred days, and those of these entries as they say."""
    return RetentionPolicy.of(entries, completed_seconds=2400 * HOUR, quarantined_seconds=2400 * HOUR)


@pytest.fixture
def ended(ledger, by_hand):
    """Have jobs of a task that were cancelled so many hours ago."""

    def cancelled(task, hours, count=1):
        jobs = [a_new_job(task=task) for _ in range(count)]
        ledger.enqueue(jobs)
        for job in jobs:
            ledger.cancel(job.id)
        age(hours, *jobs)
        return {job.id for job in jobs}

    def age(hours, *jobs):
        postgresql = "finished_at - make_interval(secs => 3600 * :hours)"
        sqlite = "strftime('%Y-%m-%dT%H:%M:%f000Z', finished_at, '-' || :hours || ' hours')"
        with ledger.session() as session:
            is_postgresql = session.get_bind().dialect.name == "postgresql"
        for job in jobs:
            moved = postgresql if is_postgresql else sqlite
            by_hand(f"UPDATE jobs SET finished_at = {moved} WHERE id = :id", hours=hours, id=job.id)  # noqa: S608 -- our own words

    cancelled.age = age
    return cancelled


def test_by_task_and_state(ledger, ended, claim):
    """A rule of a task takes its jobs and no others, and one of a state only those that ended so."""
    mine, other = ended("mail", 3), ended("report", 3)
    done, aside = a_new_job(), a_new_job()
    ledger.enqueue([done, aside])
    ledger.settle([a_settlement(claim(done.id).lease)])
    ledger.settle([a_settlement(claim(aside.id).lease, Quarantine(QuarantineReason.PERMANENT, a_failure()))])
    ended.age(3, done, aside)
    assert 1 == ledger.retention.prune(policy("mail=1h", f"{TASK}:cancelled=1h"), 100)
    assert {*other, done.id, aside.id} == set(ledger.find([*mine, *other, done.id, aside.id]))
    assert 1 == ledger.retention.prune(policy(f"{TASK}:quarantined=1h"), 100)
    assert 2 == ledger.retention.prune(policy("*=1h", "other=9d"), 100)
    assert {} == ledger.find([*mine, *other, done.id, aside.id])


def test_a_longer_rule_keeps(ledger, ended):
    """What a task keeps longer is stepped over, in every round, and goes when its own time has come."""
    kept = ended("slow", 50, count=3)
    for hours in (40, 24.5):
        gone = ended("quick", hours)
        rules = policy("slow=4d", "*=1d")
        assert 1 == ledger.retention.prune(rules, 2)
        assert 0 == ledger.retention.prune(rules, 2)
        assert ({}, kept) == (ledger.find(sorted(gone)), set(ledger.find(sorted(kept))))
    assert 2 == ledger.retention.prune(policy("slow=1d"), 2)
    assert 1 == ledger.retention.prune(policy("slow=1d"), 2)


def test_a_batch_at_a_time(ledger, ended):
    """Over all rules together; as many as the limit says that there are more."""
    for task in ("a", "b", "c"):
        ended(task, 2, count=2)
    rules = policy("a=1h", "b=1h", "c=1h")
    assert [4, 2, 0] == [ledger.retention.prune(rules, 4) for _ in range(3)]


def test_what_is_finished_is_not_read_again(ledger, ended, monkeypatch):
    """A sweep begins an hour before where it had nothing left to do; now and then at the very oldest."""
    monkeypatch.setattr(retention, "ROUNDS", 3)
    rules = policy("a=1h", "*=2d")
    assert 0 == ledger.retention.prune(rules, 10)
    hidden, recent = ended("a", 5), ended("a", 1.5)
    assert 1 == ledger.retention.prune(rules, 10), "what ended about when the last round came to its end"
    assert (hidden, {}) == (set(ledger.find(sorted(hidden))), ledger.find(sorted(recent)))
    assert 1 == ledger.retention.prune(rules, 10), "nothing stays for good, whoever wrote it that late"
    assert {} == ledger.find(sorted(hidden))
