"""Suspects: who may have been the death of a process runs apart, and twice alone is poison (B11)."""

import pytest

from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import Apart, ClaimRequest
from holdfast.jobs.outcome import Crashed, Retry
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.tests.support.builders import a_failure, a_new_job, a_settlement

HOW = {"queues": ["default"], "default_attempt_seconds": 60.0, "hard_limits": {}}


@pytest.fixture
def take(ledger, worker):
    """Claim jobs that run apart, or (None) any other; returns the leases."""

    def take_some(apart, most=1):
        wishes = [ClaimRequest(new_lease_token()) for _ in range(most)]
        return [claim.lease for claim in ledger.claim(worker.id, wishes, **HOW, apart=apart)]

    return take_some


@pytest.fixture
def crash(ledger):
    """End an attempt by the death of its process."""

    def end(lease, cohort, *, is_alone=False):
        outcome = Crashed(a_failure("SIGSEGV"), cohort, is_alone)
        return ledger.settle([a_settlement(lease, outcome)])[0].state

    return end


def test_a_suspect_runs_apart(ledger, worker, take, crash):
    """A suspect keeps its attempt, and neither a ring nor an ordinary wish gets it any more."""
    job = a_new_job()
    ledger.enqueue([job])
    assert [] == take(Apart())
    (lease,) = take(None)
    assert JobState.AVAILABLE == crash(lease, 8)
    row = ledger.job(job.id)
    assert (0, 8, 1, "SIGSEGV") == (row.attempt, row.cohort, row.crashes, row.detail)
    assert [] == take(None)
    assert [] == ledger.claim(worker.id, [ClaimRequest(new_lease_token(), job.id)], **HOW)
    assert [] == ledger.due_rings(limit=10, epoch="another")
    assert [] == take(Apart(9))
    assert [job.id] == [lease.job_id for lease in take(Apart(8))]
    attempts = ledger.attempts(job.id)
    assert ["crashed", None] == [attempt.outcome for attempt in attempts]
    assert "SIGSEGV" == attempts[0].failure.message


def test_a_peaceful_end_clears(ledger, take, crash):
    """Who was near one death and then ended in peace runs with all others again; after two it stays apart."""
    job = a_new_job()
    ledger.enqueue([job])
    (lease,) = take(None)
    crash(lease, 2)
    (lease,) = take(Apart())
    ledger.settle([a_settlement(lease, Retry(0.0, a_failure()))])
    ledger.stage(1)
    assert ledger.job(job.id).cohort is None
    (lease,) = take(None)
    crash(lease, 2)
    (lease,) = take(Apart())
    ledger.settle([a_settlement(lease, Retry(0.0, a_failure()))])
    ledger.stage(1)
    assert 2 == ledger.job(job.id).cohort
    (lease,) = take(Apart())
    assert JobState.COMPLETED == ledger.settle([a_settlement(lease)])[0].state


def test_poison(ledger, take, crash):
    """Two deaths of a process that ran nothing else end the job as poison; a requeue begins alone."""
    job = a_new_job()
    ledger.enqueue([job])
    (lease,) = take(None)
    crash(lease, 1)
    (lease,) = take(Apart())
    assert JobState.AVAILABLE == crash(lease, 1, is_alone=True)
    (lease,) = take(Apart())
    assert JobState.QUARANTINED == crash(lease, 1, is_alone=True)
    row = ledger.job(job.id)
    assert (QuarantineReason.POISON, "SIGSEGV") == (row.reason, row.failure.message)
    ledger.requeue(job.id)
    assert (1, 0) == (ledger.job(job.id).cohort, ledger.job(job.id).crashes)
    (lease,) = take(Apart())
    assert JobState.AVAILABLE == crash(lease, 1, is_alone=True)


def test_a_death_that_proves_nothing(ledger, take, crash):
    """It is a loss: the attempt is given back and the job runs where it did before."""
    job = a_new_job()
    ledger.enqueue([job])
    (lease,) = take(None)
    assert JobState.AVAILABLE == crash(lease, None)
    row = ledger.job(job.id)
    assert (None, 0, 0) == (row.cohort, row.crashes, row.attempt)
    assert 1 == len(take(None))


def test_an_isolated_task(ledger, take):
    """A job that was enqueued to run alone does so at every attempt."""
    job = a_new_job(cohort=1)
    ledger.enqueue([job])
    assert [] == take(None)
    for _ in range(2):
        (lease,) = take(Apart())
        ledger.settle([a_settlement(lease, Retry(0.0, a_failure()))])
        ledger.stage(1)
    assert 1 == ledger.job(job.id).cohort


def test_a_cancel_beats_a_crash(ledger, take, crash):
    """A suspect whose cancel was asked for is cancelled."""
    job = a_new_job()
    ledger.enqueue([job])
    (lease,) = take(None)
    ledger.cancel(job.id)
    assert JobState.CANCELLED == crash(lease, 1)
