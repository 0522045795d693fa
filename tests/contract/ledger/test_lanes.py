"""Jobs that run apart, where nobody has a place for them: they wait and say why."""

import pytest

from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import Apart, ClaimRequest
from holdfast.jobs.outcome import Crashed
from holdfast.jobs.state import JobState
from holdfast.ledger.statements import maintenance
from holdfast.ledger.statements.maintenance import NO_LANE, NO_OFFER
from holdfast.tests.support.builders import a_failure, a_new_job, a_settlement, a_worker, an_offer

HOW = {"queues": ["default"], "default_attempt_seconds": 60.0, "hard_limits": {}}
PAST = "2020-01-01T00:00:00.000000Z"


@pytest.fixture
def register(ledger):
    """Register a worker that offers the test task, isolated."""

    def one(*, has_lane, **offer):
        worker = a_worker(has_lane=has_lane)
        ledger.register_worker(worker, [an_offer(isolated=True, **offer)])
        return worker

    return one


@pytest.fixture
def isolated(ledger):
    """A job that was enqueued to run apart."""
    job = a_new_job(cohort=1)
    ledger.enqueue([job])
    return job


@pytest.fixture
def sweep(ledger):
    """Sweep once; returns who was marked and why, and who was quarantined."""

    def once(quarantine_after_seconds=0.0):
        waiting, ended = ledger.without_offer(quarantine_after_seconds=quarantine_after_seconds, limit=10)
        return [(one.job_id, one.why) for one in waiting], [one.job_id for one in ended]

    return once


@pytest.fixture
def interrupted(ledger, sweep, by_hand, monkeypatch):
    """Sweep over a mark that is years old, while something happens between the marks and the quarantine."""

    def once(meanwhile, mark):
        ledger.register_worker(a_worker(), [])
        assert [mark] == [why for _, why in sweep(600)[0]]
        by_hand("UPDATE jobs SET no_offer_since = :at", at=PAST)
        by_hand("UPDATE workers SET started_at = :at", at=PAST)
        find = maintenance.never_offered

        def find_late(*values):
            meanwhile()
            return find(*values)

        monkeypatch.setattr(maintenance, "never_offered", find_late)
        return sweep(600)

    return once


def test_without_a_lane(ledger, register, isolated, sweep, by_hand):
    """Where no living worker has a lane, an isolated job is marked once, and never quarantined for it."""
    register(has_lane=False)
    shared = a_new_job()
    ledger.enqueue([shared])
    gone = register(has_lane=True)
    ledger.retire_worker(gone.id)
    assert ([(isolated.id, NO_LANE)], []) == sweep()
    by_hand("UPDATE jobs SET no_offer_since = :at WHERE no_offer_since IS NOT NULL", at=PAST)
    by_hand("UPDATE workers SET started_at = :at", at=PAST)
    assert ([], []) == sweep()
    row = ledger.job(isolated.id)
    assert (JobState.AVAILABLE, NO_LANE) == (row.state, row.detail)
    assert None is ledger.job(shared.id).detail


def test_a_suspect_without_a_lane(ledger, register, sweep, by_hand):
    """A suspect waits visibly, too: no worker without a lane gets it, and only its own time ends it."""
    worker = register(has_lane=False)
    job = a_new_job(deadline_seconds=3600)
    ledger.enqueue([job])
    wish = [ClaimRequest(new_lease_token(), job.id)]
    (claim,) = ledger.claim(worker.id, wish, **HOW)
    ledger.settle([a_settlement(claim.lease, Crashed(a_failure("SIGSEGV"), 8))])
    assert ([(job.id, NO_LANE)], []) == sweep()
    assert [] == ledger.claim(worker.id, [ClaimRequest(new_lease_token(), job.id)], **HOW)
    by_hand("UPDATE jobs SET deadline_at = :at, ends_at = :at", at=PAST)
    assert [(job.id, "deadline")] == [(one.job_id, one.why) for one in ledger.expire(10)]
    assert "SIGSEGV" == ledger.attempts(job.id)[0].failure.message


def test_a_lane_comes(ledger, register, isolated, sweep):
    """The mark goes when a worker with a lane offers the task; a lane that is full brings none back."""
    register(has_lane=False)
    assert [(isolated.id, NO_LANE)] == sweep()[0]
    register(has_lane=True, version="2")
    assert ([], []) == sweep()
    assert NO_LANE == ledger.job(isolated.id).detail
    fit = register(has_lane=True)
    assert ([], []) == sweep()
    assert None is ledger.job(isolated.id).detail
    assert 1 == len(ledger.claim(fit.id, [ClaimRequest(new_lease_token())], **HOW, apart=Apart()))
    another = a_new_job(cohort=1)
    ledger.enqueue([another])
    assert ([], []) == sweep()


def test_the_reason_changes(ledger, register, isolated, sweep, by_hand):
    """The mark says what is missing now, and the time without any offer begins when the last offer goes."""
    other = a_worker(has_lane=True)
    ledger.register_worker(other, [])
    assert [(isolated.id, NO_OFFER)] == sweep(600)[0]
    laneless = register(has_lane=False)
    by_hand("UPDATE jobs SET no_offer_since = :at", at=PAST)
    by_hand("UPDATE workers SET started_at = :at", at=PAST)
    assert ([(isolated.id, NO_LANE)], []) == sweep(600)
    by_hand("UPDATE jobs SET no_offer_since = :at", at=PAST)
    ledger.retire_worker(laneless.id)
    assert ([(isolated.id, NO_OFFER)], []) == sweep(600)
    by_hand("UPDATE jobs SET no_offer_since = :at", at=PAST)
    assert ([], [isolated.id]) == sweep(600)


def test_an_offer_that_goes_in_the_midst_of_a_sweep(ledger, register, isolated, interrupted):
    """The time that a job waited for a lane is no time without any offer."""
    laneless = register(has_lane=False)
    assert ([], []) == interrupted(lambda: ledger.retire_worker(laneless.id), NO_LANE)
    assert (JobState.AVAILABLE, NO_LANE) == (ledger.job(isolated.id).state, ledger.job(isolated.id).detail)


@pytest.mark.parametrize("has_lane", [True, False])
def test_an_offer_that_comes_in_the_midst_of_a_sweep(ledger, register, isolated, interrupted, has_lane):
    """A job that somebody offers in time is not quarantined, whether that worker has a lane or not."""
    assert ([], []) == interrupted(lambda: register(has_lane=has_lane), NO_OFFER)
    assert JobState.AVAILABLE == ledger.job(isolated.id).state


def test_an_old_job_of_an_isolated_task(ledger, register, sweep):
    """Where nobody has a lane, one from before its task was isolated runs in the worker, as it did."""
    worker = register(has_lane=False)
    job = a_new_job()
    ledger.enqueue([job])
    ledger.ring_soon([job.id])
    assert [job.id] == [ring.job_id for ring in ledger.due_rings(limit=10, epoch="e")]
    assert ([], []) == sweep()
    assert 1 == len(ledger.claim(worker.id, [ClaimRequest(new_lease_token(), job.id)], **HOW))


def test_a_worker_of_an_older_version(ledger, register, isolated, sweep, by_hand):
    """It does not say whether it has a lane, and counts as one with a lane: nothing is marked on a guess."""
    worker = register(has_lane=False)
    by_hand(
        "INSERT INTO workers (id, name, host, pid, version, slots, queues, machine_id, started_marker, alive,"
        " beat_seq, started_at, seen_at) SELECT 'older', name, host, pid, version, slots, queues, machine_id,"
        " started_marker, alive, beat_seq, started_at, seen_at FROM workers"
    )
    by_hand("UPDATE offers SET worker_id = 'older' WHERE worker_id = :id", id=worker.id)
    assert [True] == [row.has_lane for row in ledger.workers() if row.id == "older"]
    assert ([], []) == sweep()
