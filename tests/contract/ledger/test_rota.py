"""Whose job is claimed next: tenants, queues and priorities in turn, whatever waits before them."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest, Without
from holdfast.jobs.rota import Rota
from holdfast.ledger.next_jobs import MOST_GROUPS
from holdfast.tests.support.builders import QUEUE, a_new_job, a_worker, an_offer

HOW = {"queues": [QUEUE], "default_attempt_seconds": 60.0, "hard_limits": {}}


@pytest.fixture
def start(ledger, worker):
    """Claim so many, whoever's turn it is, and return them in the order of their turns."""
    rota = Rota()

    def claim(count, *, by=None, **how):
        wishes = [ClaimRequest(new_lease_token()) for _ in range(count)]
        granted = ledger.claim((by or worker).id, wishes, **{**HOW, "rota": rota, **how})
        return [one.job for one in granted]

    return claim


def of(tenant, count=1, **fields):
    """Make jobs of a tenant."""
    return [a_new_job(tenant=tenant, **fields) for _ in range(count)]


def test_ten_behind_a_thousand(ledger, start):
    """A tenant that comes late has every second start, though a thousand jobs of another wait before it."""
    ledger.enqueue(of("a", 1000))
    ledger.enqueue(of("b", 10))
    assert {"a": 10, "b": 10} == Counter(job.tenant for job in start(20))
    assert {"a": 5} == Counter(job.tenant for job in start(5))


def test_one_by_one(ledger, start):
    """The turns go on from claim to claim, around again, with those that have no tenant among them."""
    ledger.enqueue([*of("a", 9), *of("b", 9), *of(None, 9)])
    assert [None, "a", "b", None, "a", "b", None] == [start(1)[0].tenant for _ in range(7)]


def test_weights(ledger, start):
    """A tenant of weight three starts three jobs in its turn, also if they are claimed one by one."""
    ledger.enqueue([*of("a", 9), *of("b", 9)])
    rota = Rota({"b": 3})
    assert ["a", "b", "b", "b", "a"] == [start(1, rota=rota)[0].tenant for _ in range(5)]
    assert ["b", "b", "b", "a"] == [job.tenant for job in start(4, rota=rota)]


def test_priorities(ledger, start):
    """Of ten starts one is of a less urgent priority; who is urgent comes first, whatever its tenant."""
    ledger.enqueue([*of("a", 40, priority=9), *of("a", 40, priority=1), *of("b", 1, priority=1)])
    assert {1: 18, 9: 2} == Counter(job.priority for job in start(20))


def test_within_a_tenant(ledger, start):
    """The earliest first."""
    jobs = of("a", 5)
    for job in reversed(jobs):
        ledger.enqueue([job])
    assert [job.id for job in reversed(jobs)] == [job.id for job in start(5)]


def test_more_tenants_than_are_looked_at_together(ledger, start):
    """All are served, each once, before anybody is served twice."""
    names = {f"tenant-{number}" for number in range(3 * MOST_GROUPS + 1)}
    for _ in range(2):
        ledger.enqueue([job for name in names for job in of(name)])
    served = [job.tenant for _ in range(len(names)) for job in start(1)]
    assert names == set(served)
    assert {1} == set(Counter(served).values())
    assert names == {job.tenant for job in start(len(names))}


def test_a_tenant_that_nobody_here_can_serve(ledger, start):
    """Jobs that this worker does not offer hide no others, though a hundred tenants have some."""
    ledger.enqueue(
        [job for number in range(3 * MOST_GROUPS) for job in of(f"a-{number:03}", task="not.here")]
    )
    ledger.enqueue(of("z", 3))
    assert ["z"] * 3 == [job.tenant for _ in range(3) for job in start(1)]


def test_what_is_spared(ledger, start):
    """Tasks and jobs that must not be granted are passed over, and their places go to others."""
    spared, *others = of("a", 3)
    ledger.enqueue([spared, *others])
    ledger.enqueue(of("b", 2))
    got = start(4, without=Without(jobs=frozenset([spared.id])))
    assert {"a": 2, "b": 2} == Counter(job.tenant for job in got)
    assert spared.id not in {job.id for job in got}


def test_named_and_any(ledger, worker):
    """A named wish beside others is granted once, and takes nothing from them."""
    jobs = of("a", 3)
    ledger.enqueue(jobs)
    wishes = [
        ClaimRequest(new_lease_token(), jobs[0].id),
        *(ClaimRequest(new_lease_token()) for _ in range(2)),
    ]
    assert {job.id for job in jobs} == {one.job.id for one in ledger.claim(worker.id, wishes, **HOW)}


def test_a_paused_queue(ledger, start):
    """Its jobs wait, and the other queues' go on."""
    worker = a_worker()
    ledger.register_worker(worker, [an_offer(), an_offer(task="b", queue="b")])
    ledger.enqueue([*of("a", 2), *of("a", 2, task="b", queue="b")])
    ledger.pause_queue(QUEUE, "closed")
    assert ["b", "b"] == [job.queue for job in start(4, by=worker, queues=[QUEUE, "b"])]


def test_what_is_not_due(ledger, start):
    """A tenant all of whose jobs come later has no turn yet."""
    ledger.enqueue(of("a", 2, delay_seconds=3600.0))
    ledger.enqueue(of("b", 2))
    assert ["b", "b"] == [job.tenant for job in start(4)]


def test_many_claim_at_once(ledger, worker):
    """No job is granted twice, none is left, and no claimer waits for what another one is taking."""
    ledger.enqueue([job for number in range(20) for job in of(f"tenant-{number}", 10)])

    def claim_all(_):
        rota, got = Rota(), []
        while granted := ledger.claim(
            worker.id, [ClaimRequest(new_lease_token()) for _ in range(7)], **HOW, rota=rota
        ):
            got += [one.job.id for one in granted]
        return got

    with ThreadPoolExecutor(4) as pool:
        got = [job_id for some in pool.map(claim_all, range(4)) for job_id in some]
    assert 200 == len(got) == len(set(got))


def test_a_repeated_claim(ledger, worker):
    """The same tokens get the same jobs, and the rota stands where it stood."""
    ledger.enqueue([*of("a", 5), *of("b", 5)])
    rota = Rota()
    wishes = [ClaimRequest(new_lease_token()) for _ in range(3)]
    first = ledger.claim(worker.id, wishes, **HOW, rota=rota)
    again = ledger.claim(worker.id, wishes, **HOW, rota=rota)
    assert [one.lease for one in first] == [one.lease for one in again]
    assert 3 == rota.starts
