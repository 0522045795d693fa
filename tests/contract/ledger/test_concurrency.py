"""Limits on how many run at once: never one too many, and no place lost."""

import threading
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from holdfast.jobs.concurrency import TURN, ConcurrencyLimit
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.outcome import Completed, Retry
from holdfast.jobs.state import JobState
from holdfast.ledger import connect
from holdfast.tests.support.builders import (
    QUEUE,
    TASK,
    a_failure,
    a_new_job,
    a_settlement,
    a_worker,
    an_offer,
)

TWO = {TASK: ConcurrencyLimit(2)}


def wishes(count, *job_ids):
    """Wishes for the next jobs, or for these."""
    return [ClaimRequest(new_lease_token(), job_id) for job_id in job_ids or [None] * count]


@pytest.fixture
def take(ledger, worker):
    """Claim under limits."""

    def claim(count=10, *job_ids, limits=TWO, by=worker, through=ledger):
        return through.claim(
            by.id, wishes(count, *job_ids), queues=[QUEUE], default_attempt_seconds=60.0, hard_limits={},
            concurrency=limits,
        )  # fmt: skip

    return claim


def states(ledger, *states_):
    """The jobs in one of these states."""
    return ledger.list_jobs(states=states_, limit=1000)


def test_no_more_run_than_may(ledger, take):
    """The first in line run; the others are parked, with their attempt back, and say why."""
    jobs = [a_new_job(priority=priority) for priority in (5, 3, 9, 4)]
    ledger.enqueue(jobs)
    assert [jobs[1].id, jobs[3].id] == [claim.job.id for claim in take()]
    waiting = states(ledger, JobState.PARKED)
    assert {jobs[0].id, jobs[2].id} == {job.id for job in waiting}
    assert {(f"limit:{TASK}", 0, 1)} == {(job.waiting_for, job.attempt, job.claims) for job in waiting}
    assert [] == take()


def test_who_ends_makes_room_for_the_next_in_line(ledger, take):
    """At once, after the commit, and for as many as there are places."""
    jobs = [a_new_job(priority=number) for number in range(5)]
    ledger.enqueue(jobs)
    first, second = take()
    ledger.settle([a_settlement(first.lease)])
    (released,) = states(ledger, JobState.AVAILABLE)
    assert (jobs[2].id, TURN) == (released.id, released.ticket)
    assert [jobs[2].id] == [claim.job.id for claim in take()]
    ledger.settle([a_settlement(second.lease, Retry(60.0, a_failure()))])
    assert [jobs[3].id] == [claim.job.id for claim in take()]
    assert 0 == ledger.concurrency.release(100)


@pytest.mark.parametrize("number", [1, 3])
def test_a_turn_is_given_once(ledger, take, number):
    """A place whose turn is given, and not taken yet, is taken: looking again gives it to nobody else."""
    ledger.enqueue([a_new_job() for _ in range(6)])
    limits = {TASK: ConcurrencyLimit(number)}
    for claim in take(limits=limits):
        ledger.settle([a_settlement(claim.lease)])
    for _ in range(3):
        ledger.concurrency.release(100)
    assert number == len(states(ledger, JobState.AVAILABLE))
    assert number == len(take(limits=limits))


def test_limits_by_tenant_and_by_argument(ledger, take):
    """Each tenant has its own places, and so has each value of an argument; none is a value, too."""
    ledger.enqueue([a_new_job(tenant=tenant) for tenant in ("a", "a", "a", "b", None)])
    limit = {TASK: ConcurrencyLimit(1, "tenant")}
    assert ["", "a", "b"] == sorted(claim.job.tenant or "" for claim in take(limits=limit))
    assert {f"limit:{TASK}:tenant=a"} == {job.waiting_for for job in states(ledger, JobState.PARKED)}


def test_a_limit_by_an_argument_shows_no_argument(ledger, take):
    """Who sees what a job waits for does not see what it was called with."""
    ledger.enqueue([a_new_job(arguments='{"text":"secret"}') for _ in range(2)])
    take(limits={TASK: ConcurrencyLimit(1, "text")})
    (waiting,) = states(ledger, JobState.PARKED)
    assert waiting.waiting_for.startswith(f"limit:{TASK}:text=")
    assert "secret" not in waiting.waiting_for + str(waiting.detail)
    ledger.enqueue([a_new_job(arguments='{"text":"other"}')])
    assert 1 == len(take(limits={TASK: ConcurrencyLimit(1, "text")}))


def test_tasks_without_a_limit_are_not_counted(ledger, take):
    """They pay nothing for the limits of others."""
    ledger.enqueue([a_new_job() for _ in range(4)])
    assert 4 == len(take(limits={"another.task": ConcurrencyLimit(1)}))


def test_a_dead_workers_places_are_free_again(ledger, take, worker):
    """A running row is the lease of a place: with the rescue it is gone."""
    ledger.enqueue([a_new_job() for _ in range(4)])
    assert 2 == len(take())
    other = a_worker()
    ledger.register_worker(other, [an_offer()])
    ledger.declare_dead(worker.id, 0)
    assert [] == take(by=other)
    ledger.rescue(10)
    ledger.concurrency.release(10)
    assert 2 == len(take(by=other))


def test_who_could_not_run_takes_no_place(ledger, take):
    """A turn goes to the next in a queue that is not paused."""
    paused, other = a_new_job(queue="paused", priority=1), a_new_job(priority=2)
    ledger.enqueue([a_new_job(priority=0), paused, other])
    limit = {TASK: ConcurrencyLimit(1)}
    (running,) = take(3, limits=limit)
    take(1, paused.id, limits=limit)
    take(1, other.id, limits=limit)
    ledger.pause_queue("paused")
    ledger.settle([a_settlement(running.lease)])
    assert [other.id] == [job.id for job in states(ledger, JobState.AVAILABLE)]


def test_a_limit_that_grew_lets_more_go(ledger, take):
    """The claimer's own number counts, and with it the line moves on."""
    ledger.enqueue([a_new_job() for _ in range(6)])
    first = take()
    ledger.settle([a_settlement(first[0].lease)])
    more = {TASK: ConcurrencyLimit(4)}
    assert 1 == len(take(limits=more))
    ledger.enqueue([a_new_job()])
    assert 1 == len(take(limits=more))


@pytest.mark.parametrize("seed", range(3))
def test_many_claimers_at_once_never_pass_the_limit(ledger, config, seed):
    """Threads that claim, end, retry and die as they come: never more than may, and all come to their end."""
    most, count = 3, 60
    limits = {TASK: ConcurrencyLimit(most)}
    ledger.enqueue([a_new_job() for _ in range(count)])
    seen: list[int] = []
    over = threading.Event()

    def work(number):
        own = connect(config)
        chance = Random(100 * seed + number)  # noqa: S311 -- a walk that can be repeated
        try:
            while not over.is_set():
                worker = a_worker()
                own.register_worker(worker, [an_offer()])
                for _ in range(chance.randrange(2, 6)):
                    claims = own.claim(
                        worker.id, wishes(4), queues=[QUEUE], default_attempt_seconds=60.0, hard_limits={},
                        concurrency=limits,
                    )  # fmt: skip
                    with own.session() as session:
                        schema = "holdfast_test." if session.get_bind().dialect.name == "postgresql" else ""
                        running = f"SELECT count(*) FROM {schema}jobs WHERE state = 'running'"  # noqa: S608 -- our own words
                        seen.append(session.connection().exec_driver_sql(running).scalar())
                    for claim in claims:
                        if chance.random() < 0.8:
                            own.settle([a_settlement(claim.lease, Completed("1"))])
                # What it still holds is left behind by its death.
                own.declare_dead(worker.id, 0)
                own.rescue(100)
                own.concurrency.release(100)
                if not own.list_jobs(states=[JobState.AVAILABLE, JobState.RUNNING, JobState.PARKED], limit=1):
                    over.set()
        finally:
            own.close()

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, number) for number in range(4)]:
            done.result(timeout=100)
    assert max(seen) <= most
    assert max(seen) > 1, "they did run side by side"
    assert count == len(ledger.list_jobs(states=[JobState.COMPLETED], limit=1000))


def test_whose_turn_has_come_is_rung_at_once(ledger, take):
    """After the commit, by whoever looked."""
    jobs = [a_new_job(priority=number) for number in range(3)]
    ledger.enqueue(jobs)
    claims = take(limits={TASK: ConcurrencyLimit(1)})
    rung = []
    ledger.concurrency.ring = rung.extend
    ledger.settle([a_settlement(claims[0].lease)])
    assert [(jobs[1].id, TASK, QUEUE, 1)] == [(one.job_id, one.task, one.queue, one.priority) for one in rung]
