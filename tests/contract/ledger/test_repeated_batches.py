"""A batch that is repeated, by anybody and at any time, is the same jobs (F10): nothing is doubled."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from holdfast.jobs.errors import KeyBusy, LedgerUnavailable
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.state import JobState
from holdfast.ledger import connect
from holdfast.tests.support.builders import a_new_job, a_settlement

SIZE = 1000
HOW = {"queues": ["default"], "default_attempt_seconds": 60.0, "hard_limits": {}}


def a_batch(name="batch", **fields):
    """The thousand requests of one batch, each with an id of its own, as a producer makes them."""
    return [a_new_job(key=f"{name}\t{number}", **fields) for number in range(SIZE)]


def ids(answers):
    """Return the ids in the order of the requests."""
    return [one.job_id for one in answers]


def run_all(ledger, worker):
    """Claim and end whatever is available."""
    while claims := ledger.claim(worker.id, [ClaimRequest(new_lease_token()) for _ in range(500)], **HOW):
        ledger.settle([a_settlement(claim.lease) for claim in claims])


def insist(ledger):
    """Send the batch until it is answered, as a producer does while the database is too busy."""
    for _ in range(100):
        with suppress(LedgerUnavailable, KeyBusy):
            return ledger.enqueue(a_batch())
    raise AssertionError("a hundred times too busy")


def test_two_producers_at_once(ledger, worker):
    """Of two who send it again and again while it is worked off and pruned, one creates each job, once."""
    done = threading.Event()

    def produce(_):
        return [insist(ledger) for _ in range(3)]

    def consume():
        while not done.is_set():
            # Where there is one writer at a time, it is the producers' turn, too.
            with suppress(LedgerUnavailable):
                run_all(ledger, worker)
                ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=SIZE)

    with ThreadPoolExecutor(3) as pool:
        consumer = pool.submit(consume)
        try:
            told = [answers for both in pool.map(produce, range(2)) for answers in both]
        finally:
            done.set()
        consumer.result(60)
    assert 1 == len({tuple(ids(answers)) for answers in told})
    assert SIZE == sum(one.created for answers in told for one in answers)
    run_all(ledger, worker)
    while ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=SIZE):
        pass
    assert [] == ledger.list_jobs()
    again = ledger.enqueue(a_batch())
    assert (ids(told[0]), [False] * SIZE) == (ids(again), [one.created for one in again])
    assert {JobState.COMPLETED} == {one.state for one in again}
    assert [] == ledger.list_jobs()


def test_a_crash_between_commit_and_reply(ledger, config, worker):
    """Two producers that die at COMMITs, before or after these took effect, repeat until they are told."""
    with ThreadPoolExecutor(2) as pool:
        producers = [pool.submit(persist, config, seed) for seed in (1, 2)]
        (first, crashes), (second, more_crashes) = (producer.result(60) for producer in producers)
    assert {"before", "after"} == {*crashes, *more_crashes}
    assert ids(first) == ids(second)
    assert SIZE == sum(one.count for one in ledger.counts())
    run_all(ledger, worker)
    assert SIZE == sum(one.count for one in ledger.counts() if one.state is JobState.COMPLETED)
    assert ids(first) == ids(ledger.enqueue(a_batch()))


def persist(config, seed):
    """Send the batch until somebody lives to hear the answer; return that, and when the others died."""
    luck = random.Random(seed)  # noqa: S311 -- a seed, so that they die as they did before
    ledger, crashes = connect(config), []

    def die_before(_connection):
        if luck.random() < 0.3:
            crashes.append("before")
            raise OperationalError("COMMIT", {}, Exception("the producer was killed"))

    event.listen(ledger._engine, "commit", die_before)  # noqa: SLF001 -- the only place before a COMMIT
    for _ in range(100):
        with suppress(LedgerUnavailable, KeyBusy):
            told = ledger.enqueue(a_batch())
            if len(crashes) > 1 and luck.random() < 0.5:
                ledger.close()
                return told, crashes
            # Committed, and the producer was killed before it heard of it.
            crashes.append("after")
    raise AssertionError("nobody lived to hear the answer")


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_as_long_as_stated(ledger, worker, seconds):
    """After its time the batch is a new one, and not before."""
    first = ledger.enqueue(a_batch(key_seconds=seconds))
    run_all(ledger, worker)
    while ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=SIZE):
        pass
    again = ledger.enqueue(a_batch(key_seconds=seconds))
    assert {seconds == 0.0} == {one.created for one in again}
    assert (ids(first) == ids(again)) == (seconds > 0)
