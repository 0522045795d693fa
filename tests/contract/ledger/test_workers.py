"""Workers: beats, deaths, offers, leading; the worker's row is the judge."""

from concurrent.futures import ThreadPoolExecutor

from holdfast.jobs.ids import WorkerId, new_worker_id
from holdfast.tests.support.builders import a_worker, an_offer


def test_registered(ledger):
    """A worker's row says who it is, and its offers are everyone's to see."""
    worker = a_worker(queues=("a", "b"), slots=7, machine_id="m", started_marker="s", has_lane=True)
    offer = an_offer(schema='{"type":"object"}')
    ledger.register_worker(worker, [offer])
    ledger.register_worker(worker, [offer])
    (row,) = ledger.workers()
    assert (worker.id, worker.name, worker.pid, ("a", "b"), 7, True, 0) == (
        row.id,
        row.name,
        row.pid,
        row.queues,
        row.slots,
        row.is_alive,
        row.beat_seq,
    )
    assert ("m", "s", True) == (row.machine_id, row.started_marker, row.has_lane)
    assert [(worker.name, offer.task, offer.version, offer.queue, offer.schema)] == [
        (one.worker, one.task, one.version, one.queue, one.schema) for one in ledger.offers()
    ]


def test_beat(ledger, worker):
    """Each beat raises the number that observers watch; unknown workers cannot beat."""
    assert [True, True] == [ledger.beat(worker.id) for _ in range(2)]
    (row,) = ledger.workers()
    assert 2 == row.beat_seq
    assert row.seen_at > row.started_at
    assert not ledger.beat(new_worker_id())


def test_declared_dead(ledger, worker):
    """Death needs the number that was seen, happens once, and is never undone."""
    ledger.beat(worker.id)
    assert not ledger.declare_dead(worker.id, 0)
    assert ledger.declare_dead(worker.id, 1)
    assert not ledger.declare_dead(worker.id, 1)
    assert not ledger.beat(worker.id)
    ledger.register_worker(worker, [])
    assert [] == ledger.workers()
    assert [] == ledger.offers()
    assert [False] == [row.is_alive for row in ledger.workers(alive_only=False)]


def test_retired(ledger, worker):
    """A worker that leaves is not alive any more, once."""
    assert [True, False] == [ledger.retire_worker(worker.id) for _ in range(2)]


def test_twins(ledger):
    """A living worker of the same name is seen; a dead one is not."""
    first, second = a_worker(name="same"), a_worker(name="same")
    for worker in (first, second, a_worker()):
        ledger.register_worker(worker, [])
    assert [first.id] == [twin.id for twin in ledger.live_twins("same", second.id)]
    ledger.retire_worker(first.id)
    assert [] == ledger.live_twins("same", second.id)


def registered(ledger, count: int) -> list[WorkerId]:
    """Register so many workers."""
    workers = [a_worker() for _ in range(count)]
    for worker in workers:
        ledger.register_worker(worker, [])
    return [worker.id for worker in workers]


def test_one_leader(ledger):
    """A role belongs to one worker until its time is over, and the holder may keep it."""
    first, second = registered(ledger, 2)
    assert ledger.lead("stager", first, seconds=60)
    assert not ledger.lead("stager", second, seconds=60)
    assert ledger.lead("rescuer", second, seconds=60)
    assert ledger.lead("stager", first, seconds=0)
    assert ledger.lead("stager", second, seconds=60)


def test_a_leader_that_left_leads_no_more(ledger):
    """A role whose holder has left or is dead is free at once, whatever time it had left."""
    first, second = registered(ledger, 2)
    assert ledger.lead("stager", first, seconds=600)
    ledger.retire_worker(first)
    assert ledger.lead("stager", second, seconds=600)


def test_leader_race(ledger):
    """Of many that want a role at once, one gets it."""
    ids = registered(ledger, 6)
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda one: ledger.lead("stager", one, seconds=60), ids))
    assert 1 == sum(got)
