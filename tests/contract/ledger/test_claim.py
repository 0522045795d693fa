"""Claim: one owner, only what the worker offers, repeatable by token."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from holdfast.jobs.errors import LeaseLost
from holdfast.jobs.ids import new_lease_token, new_worker_id
from holdfast.jobs.job import ClaimRequest, Without
from holdfast.jobs.lease import Fence
from holdfast.jobs.outcome import Retry
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.tests.support.builders import a_failure, a_new_job, a_settlement, a_worker, an_offer

HOW = {"queues": ["default"], "default_attempt_seconds": 60.0, "hard_limits": {}}


def test_claim_by_id(ledger, worker, claim):
    """A claim gives the lease and the job as it is now, and the ledger holds the same."""
    job = a_new_job()
    ledger.enqueue([job])
    granted = claim(job.id)
    assert (job.id, worker.id, 1, Fence(1, 1)) == (
        granted.lease.job_id,
        granted.lease.worker_id,
        granted.lease.attempt,
        granted.lease.fence,
    )
    assert ledger.job(job.id) == granted.job
    assert JobState.RUNNING == granted.job.state
    assert timedelta(seconds=90) == granted.job.attempt_ends_at - granted.job.started_at
    attempt = ledger.attempts(job.id)[0]
    assert (granted.lease.token, 1, None) == (attempt.token, attempt.number, attempt.ended_at)
    assert [True] == ledger.owns([granted.lease])
    assert [granted.lease.token] == [held.token for held in ledger.held(worker.id)]


def test_order(ledger, claim):
    """The next job is the one of the highest priority, then the earliest."""
    last, first, second = a_new_job(), a_new_job(priority=0), a_new_job(priority=1)
    for job in (last, first, second):
        ledger.enqueue([job])
    assert [first.id, second.id, last.id] == [claim().lease.job_id for _ in range(3)]


def test_queues(ledger, worker):
    """A wish for any job looks into the worker's queues only, over all of them by priority."""
    worker = a_worker()
    ledger.register_worker(worker, [an_offer(), an_offer(task="b", queue="b"), an_offer(task="c", queue="c")])
    a, b, c = (
        a_new_job(priority=5),
        a_new_job(task="b", queue="b", priority=1),
        a_new_job(task="c", queue="c"),
    )
    ledger.enqueue([a, b, c])
    wishes = [ClaimRequest(new_lease_token()) for _ in range(5)]
    claims = ledger.claim(
        worker.id, wishes, queues=["default", "b"], default_attempt_seconds=1, hard_limits={}
    )
    assert [b.id, a.id] == [one.lease.job_id for one in claims]


def test_spared(ledger):
    """A wish for any job passes over the tasks and jobs that it says; a wish by id does not."""
    worker = a_worker()
    ledger.register_worker(worker, [an_offer(), an_offer(task="heavy")])
    heavy, spared, free = a_new_job(task="heavy"), a_new_job(), a_new_job()
    ledger.enqueue([heavy, spared, free])
    without = Without(frozenset({"heavy"}), frozenset({spared.id}))
    wishes = [ClaimRequest(new_lease_token()) for _ in range(3)]
    granted = ledger.claim(worker.id, wishes, **HOW, without=without)
    assert [free.id] == [claim.lease.job_id for claim in granted]
    named = [ClaimRequest(new_lease_token(), job.id) for job in (heavy, spared)]
    assert 2 == len(ledger.claim(worker.id, named, **HOW, without=without))


def test_limits(ledger, worker):
    """A job's own hard timeout wins over its task's, and that over the default."""
    own, task, default = a_new_job(hard_timeout_seconds=7), a_new_job(), a_new_job(task="other")
    ledger.register_worker(other := a_worker(), [an_offer(), an_offer(task="other")])
    ledger.enqueue([own, task, default])
    wishes = [ClaimRequest(new_lease_token(), job.id) for job in (own, task, default)]
    claims = ledger.claim(
        other.id, wishes, queues=[], default_attempt_seconds=1000, hard_limits={"tests.echo": 100, "x.y": 1}
    )
    assert [37, 130, 1030] == [
        round((one.job.attempt_ends_at - one.job.started_at).total_seconds()) for one in claims
    ]


def test_not_claimable(ledger, worker, by_hand):
    """What is scheduled, paused, past its deadline, or not offered by the worker is not granted."""
    jobs = [
        a_new_job(delay_seconds=60),
        a_new_job(queue="paused"),
        a_new_job(deadline_seconds=0),
        a_new_job(task="unknown"),
        a_new_job(version="2"),
    ]
    ledger.enqueue(jobs)
    assert ledger.pause_queue("paused")
    assert ["paused"] == [one.queue for one in ledger.paused_queues()]
    wishes = [ClaimRequest(new_lease_token(), job.id) for job in jobs] + [ClaimRequest(new_lease_token())]
    assert [] == ledger.claim(worker.id, wishes, **{**HOW, "queues": ["default", "paused"]})
    assert ledger.resume_queue("paused")
    assert [jobs[1].id] == [one.lease.job_id for one in ledger.claim(worker.id, wishes[1:2], **HOW)]


def test_two_claimers_one_owner(ledger):
    """Of two workers that claim the same job at once, one gets it."""
    workers = [a_worker() for _ in range(2)]
    for worker in workers:
        ledger.register_worker(worker, [an_offer()])
    for _ in range(10):
        jobs = [a_new_job() for _ in range(3)]
        ledger.enqueue(jobs)
        barrier = Barrier(2)

        def run(worker, jobs=jobs, barrier=barrier):
            wishes = [ClaimRequest(new_lease_token(), job.id) for job in jobs]
            barrier.wait()
            return ledger.claim(worker.id, wishes, **HOW)

        with ThreadPoolExecutor(2) as pool:
            granted = [one.lease.job_id for claims in pool.map(run, workers) for one in claims]
        assert sorted(job.id for job in jobs) == sorted(granted)


def test_many_claimers_of_any_job(ledger):
    """Claimers that ask for any job share the queue without overlap and without leaving jobs behind."""
    ledger.enqueue([a_new_job() for _ in range(60)])

    def run(_):
        worker = a_worker()
        ledger.register_worker(worker, [an_offer()])
        mine = []
        while claims := ledger.claim(worker.id, [ClaimRequest(new_lease_token()) for _ in range(3)], **HOW):
            mine += [one.lease.job_id for one in claims]
        return mine

    with ThreadPoolExecutor(4) as pool:
        granted = [job_id for mine in pool.map(run, range(4)) for job_id in mine]
    assert len(granted) == len(set(granted))
    rest = next((count.count for count in ledger.counts() if count.state is JobState.AVAILABLE), 0)
    # A claimer may pass over what another one holds at that instant, and then sees nothing more.
    assert 60 == len(granted) + rest


def test_repeated_claim(ledger, worker):
    """The same claim after a lost reply returns what runs under its tokens, and takes nothing else."""
    jobs = [a_new_job() for _ in range(3)]
    ledger.enqueue(jobs)
    wishes = [ClaimRequest(new_lease_token(), jobs[2].id), ClaimRequest(new_lease_token())]
    first = ledger.claim(worker.id, wishes, **HOW)
    assert 2 == len(first)
    assert [one.lease for one in first] == [one.lease for one in ledger.claim(worker.id, wishes, **HOW)]
    assert 1 == len([count for count in ledger.counts() if count.state is JobState.AVAILABLE])


def test_a_token_serves_once(ledger, worker):
    """A request whose job was handed back cannot take it a second time with the same token."""
    job = a_new_job()
    ledger.enqueue([job])
    wish = ClaimRequest(new_lease_token(), job.id)
    granted = ledger.claim(worker.id, [wish], **HOW)[0]
    ledger.hand_back([granted.lease], "drain")
    assert [] == ledger.claim(worker.id, [wish], **HOW)


def test_one_job_twice_in_a_batch(ledger, worker):
    """Two requests for one job in one batch give one lease."""
    job = a_new_job()
    ledger.enqueue([job])
    wishes = [ClaimRequest(new_lease_token(), job.id) for _ in range(2)]
    claims = ledger.claim(worker.id, wishes, **HOW)
    assert 1 == len(claims)
    assert claims[0].lease.token == ledger.held(worker.id)[0].token


def test_dead_worker(ledger, worker):
    """A worker that was declared dead, retired or never registered claims nothing and is told so."""
    ledger.enqueue([a_new_job()])
    for worker_id in (worker.id, new_worker_id()):
        ledger.retire_worker(worker_id)
        with pytest.raises(LeaseLost):
            ledger.claim(worker_id, [ClaimRequest(new_lease_token())], **HOW)


def test_fence_grows(ledger, claim):
    """The fence grows with every claim and is never given back; a promotion raises its high part."""
    job = a_new_job()
    ledger.enqueue([job])
    fences = []
    for _ in range(2):
        granted = claim(job.id)
        fences.append(granted.lease.fence)
        assert 1 == granted.lease.attempt
        ledger.hand_back([granted.lease], "drain")
    assert 2 == ledger.promoted()
    fences.append(claim(job.id).lease.fence)
    assert [Fence(1, 1), Fence(1, 2), Fence(2, 3)] == fences


def test_attempt_is_spent_by_retry(ledger, claim):
    """A retry spends its attempt."""
    job = a_new_job()
    ledger.enqueue([job])
    ledger.settle([a_settlement(claim(job.id).lease, Retry(0, a_failure()))])
    assert 1 == ledger.stage(10)
    assert 2 == claim(job.id).lease.attempt


def test_bad_row_at_the_head(ledger, worker, by_hand, claim):
    """A row that cannot be claimed is put aside, and the queue goes on behind it."""
    bad, good = a_new_job(priority=0), a_new_job()
    ledger.enqueue([bad, good])
    by_hand("UPDATE jobs SET claims = 1000000000 WHERE id = :id", id=bad.id)
    wishes = [ClaimRequest(new_lease_token()) for _ in range(2)]
    assert [good.id] == [one.lease.job_id for one in ledger.claim(worker.id, wishes, **HOW)]
    found = ledger.job(bad.id)
    assert (JobState.QUARANTINED, QuarantineReason.INVALID_PAYLOAD) == (found.state, found.reason)


def test_absurd_limit(ledger, claim, by_hand):
    """An absurd timeout written by hand does not stop the claim."""
    job = a_new_job()
    ledger.enqueue([job])
    by_hand("UPDATE jobs SET hard_timeout_seconds = 1e300 WHERE id = :id", id=job.id)
    assert job.id == claim().lease.job_id
