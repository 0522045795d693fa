"""Sweeps: levels, bounded, and a bad row stops none of them."""

import math

import pytest

from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import Apart, ClaimRequest
from holdfast.jobs.outcome import Park
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.tests.support.builders import a_new_job, a_settlement, a_worker, an_offer

HOW = {"queues": ["default"], "default_attempt_seconds": 60.0, "hard_limits": {}}
PAST = "2020-01-01T00:00:00.000000Z"


def test_stage(ledger, by_hand):
    """Due jobs become available, at most so many at once; others stay."""
    due = [a_new_job(delay_seconds=60) for _ in range(3)]
    later = a_new_job(delay_seconds=60)
    ledger.enqueue([*due, later])
    for job in due:
        by_hand("UPDATE jobs SET run_at = :at WHERE id = :id", at=PAST, id=job.id)
    assert [2, 1, 0] == [ledger.stage(2) for _ in range(3)]
    assert JobState.SCHEDULED == ledger.job(later.id).state
    assert "stage" == ledger.history(due[0].id)[-1].kind
    assert 3 == len(ledger.due_rings(limit=10, epoch=None))


def test_rings(ledger, by_hand):
    """A ring is due a second after the enqueue, then later each time, and in a new epoch at once."""
    low, high = a_new_job(priority=9), a_new_job(priority=0)
    ledger.enqueue([low, high])
    assert [] == ledger.due_rings(limit=10, epoch="one")
    ledger.ring_soon([low.id, high.id])
    assert [high.id, low.id] == [ring.job_id for ring in ledger.due_rings(limit=10, epoch="one")]
    assert [] == ledger.due_rings(limit=10, epoch="one")
    assert 1 == len(ledger.due_rings(limit=1, epoch="two"))
    assert 1 == len(ledger.due_rings(limit=10, epoch="two"))
    assert [] == ledger.due_rings(limit=10, epoch="two")
    assert 2 == len(ledger.due_rings(limit=10, epoch="a lower one"))
    ledger.ring_soon([low.id])
    assert [low.id] == [ring.job_id for ring in ledger.due_rings(limit=10, epoch=None)]
    ledger.cancel(high.id)
    ledger.ring_soon([high.id])
    assert [] == ledger.due_rings(limit=10, epoch=None)


def test_ring_pauses_grow(ledger, by_hand, config):
    """Rings that nobody answers come after 1, 2, 4 minutes and so on, at most an hour."""
    job = a_new_job()
    ledger.enqueue([job])
    pauses = []
    for _ in range(9):
        ledger.ring_soon([job.id])
        assert 1 == len(ledger.due_rings(limit=1, epoch="e"))
        with ledger.session() as session:
            pauses.append(_pause_seconds(session, config, job.id))
    assert [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600] == pauses


def test_a_job_is_rung_sooner_where_one_heard_it_who_does_not_offer_it(ledger, worker, by_hand, config):
    """After 1, 2, 4 seconds and so on: half of a fleet may be older than the task."""
    older = a_worker()
    ledger.register_worker(older, [an_offer(task="another")])
    job = a_new_job()
    ledger.enqueue([job])
    pauses = []
    for _ in range(8):
        ledger.ring_soon([job.id])
        assert 1 == len(ledger.due_rings(limit=1, epoch="e"))
        ledger.ring_soon([job.id], not_by=worker.id)
        with ledger.session() as session:
            assert _pause_seconds(session, config, job.id) >= 60, (
                "who offers it heard it too, and had no room"
            )
        ledger.ring_soon([job.id], not_by=older.id)
        with ledger.session() as session:
            pauses.append(_pause_seconds(session, config, job.id, steps_of=2))
    assert [2, 4, 8, 16, 32, 60, 60, 60] == pauses


def test_who_heard_a_ring_in_vain_puts_it_off_for_nobody(ledger, worker, claim, by_hand, config):
    """A ring that comes soon anyway stays where it is, and one of a job that runs is nobody's business."""
    older = a_worker()
    ledger.register_worker(older, [])
    waits, runs = a_new_job(), a_new_job()
    ledger.enqueue([waits, runs])
    claim(runs.id)
    ledger.ring_soon([waits.id])
    ledger.ring_soon([waits.id, runs.id], not_by=older.id)
    assert [waits.id] == [ring.job_id for ring in ledger.due_rings(limit=10, epoch=None)]


@pytest.mark.parametrize(
    ("offered", "lanes", "joins"),
    [
        ((True, True), (True, True), True),
        ((True, False), (True, True), False),
        ((True, True), (True, False), False),
        ((True, True), (False, False), False),
        ((False,), (True,), False),
        ((), (), False),
    ],
)
def test_a_job_from_before_its_task_became_isolated(ledger, offered, lanes, joins):
    """It joins the jobs that workers with room look for, once no worker would run it in itself."""
    workers = [a_worker(has_lane=has_lane) for has_lane in lanes]
    for worker, isolated in zip(workers, offered, strict=True):
        ledger.register_worker(worker, [an_offer(isolated=isolated)])
    seeker = workers[0] if workers else a_worker()
    if not workers:
        ledger.register_worker(seeker, [])
    gone = a_worker(has_lane=not joins)
    ledger.register_worker(gone, [an_offer(isolated=not joins)])
    ledger.retire_worker(gone.id)
    job = a_new_job()
    ledger.enqueue([job])
    ledger.ring_soon([job.id])
    assert ([] if joins else [job.id]) == [ring.job_id for ring in ledger.due_rings(limit=10, epoch="e")]
    wish = [ClaimRequest(new_lease_token())]
    granted = ledger.claim(seeker.id, wish, **HOW, apart=Apart())
    assert joins == bool(granted)


def test_rescue_of_a_dead_worker(ledger, worker, claim):
    """What a dead worker holds is available again, with its attempt; sweeping again finds nothing."""
    job = a_new_job()
    ledger.enqueue([job])
    lease = claim(job.id).lease
    assert [] == ledger.rescue(10)
    ledger.declare_dead(worker.id, 0)
    (leftover,) = ledger.rescue(10)
    assert (job.id, JobState.AVAILABLE, worker.id, "worker_lost") == (
        leftover.job_id,
        leftover.state,
        leftover.worker_id,
        leftover.why,
    )
    assert [] == ledger.rescue(10)
    assert 0 == ledger.job(job.id).attempt
    assert "lost" == ledger.attempts(job.id)[0].outcome
    assert [False] == ledger.owns([lease])
    assert ledger.settle([a_settlement(lease)])[0].is_lost
    assert ["enqueue", "claim", "rescue"] == [moment.kind for moment in ledger.history(job.id)]


def test_rescue_is_a_level(ledger, worker, claim, by_hand):
    """Jobs of a worker whose row is gone are found by any later sweep, however they came to be."""
    job = a_new_job()
    ledger.enqueue([job])
    claim(job.id)
    by_hand("DELETE FROM workers")
    assert [job.id] == [leftover.job_id for leftover in ledger.rescue(10)]


def test_rescue_past_the_end(ledger, worker, claim, by_hand):
    """An attempt past its end is taken from a living worker, and is spent."""
    job = a_new_job()
    ledger.enqueue([job])
    claim(job.id)
    by_hand("UPDATE jobs SET attempt_ends_at = :at", at=PAST)
    (leftover,) = ledger.rescue(10)
    assert ("attempt_ended", JobState.AVAILABLE) == (leftover.why, leftover.state)
    assert 1 == ledger.job(job.id).attempt


def test_rescue_of_a_cancelled_job(ledger, worker, claim):
    """A rescued job whose cancel was asked for is cancelled."""
    job = a_new_job()
    ledger.enqueue([job])
    claim(job.id)
    ledger.cancel(job.id)
    ledger.retire_worker(worker.id)
    assert [JobState.CANCELLED] == [leftover.state for leftover in ledger.rescue(10)]


def test_lost_repeatedly(ledger, claim, by_hand):
    """Twenty losses in a row end a job; any settlement between them starts the count again."""
    job = a_new_job()
    ledger.enqueue([job])
    for losses, state in ((18, JobState.AVAILABLE), (19, JobState.QUARANTINED)):
        worker = a_worker()
        ledger.register_worker(worker, [an_offer()])
        claim(job.id, by=worker)
        by_hand("UPDATE jobs SET losses = :losses", losses=losses)
        ledger.retire_worker(worker.id)
        assert [state] == [leftover.state for leftover in ledger.rescue(10)]
    assert QuarantineReason.LOST_REPEATEDLY == ledger.job(job.id).reason
    fresh = a_new_job()
    ledger.enqueue([fresh])
    ledger.register_worker(worker := a_worker(), [an_offer()])
    lease = claim(fresh.id, by=worker).lease
    by_hand("UPDATE jobs SET losses = 19 WHERE id = :id", id=fresh.id)
    ledger.hand_back([lease], "drain")
    claim(fresh.id, by=worker)
    ledger.retire_worker(worker.id)
    assert [JobState.AVAILABLE] == [leftover.state for leftover in ledger.rescue(10)]


def test_rescue_is_bounded(ledger, worker):
    """A sweep takes at most so many rows, and the next one the rest."""
    ledger.enqueue([a_new_job() for _ in range(5)])
    ledger.claim(worker.id, [ClaimRequest(new_lease_token()) for _ in range(5)], **HOW)
    ledger.retire_worker(worker.id)
    assert [3, 2, 0] == [len(ledger.rescue(3)) for _ in range(3)]


def test_bad_row_stops_no_sweep(ledger, worker, by_hand):
    """A row that cannot be moved is left out of rescue, stage and expire; the others are moved."""
    jobs = [a_new_job() for _ in range(5)]
    ledger.enqueue(jobs)
    ledger.claim(worker.id, [ClaimRequest(new_lease_token(), job.id) for job in jobs], **HOW)
    ledger.retire_worker(worker.id)
    by_hand("UPDATE jobs SET moments = 1000000000 WHERE id = :id", id=jobs[2].id)
    assert {job.id for job in jobs} - {jobs[2].id} == {leftover.job_id for leftover in ledger.rescue(10)}
    assert [] == ledger.rescue(10)


@pytest.mark.parametrize("state", ["scheduled", "available", "parked"])
def test_expire(ledger, worker, claim, by_hand, state):
    """Whatever waits past its deadline is quarantined, wherever it waits."""
    job = a_new_job(delay_seconds=60 if state == "scheduled" else 0, deadline_seconds=3600)
    ledger.enqueue([job])
    if state == "parked":
        ledger.settle([a_settlement(claim(job.id).lease, Park("event:x"))])
    assert [] == ledger.expire(10)
    by_hand("UPDATE jobs SET deadline_at = :at, ends_at = :at", at=PAST)
    (leftover,) = ledger.expire(10)
    assert (job.id, JobState.QUARANTINED, "deadline") == (leftover.job_id, leftover.state, leftover.why)
    assert QuarantineReason.DEADLINE == ledger.job(job.id).reason
    assert [] == ledger.expire(10)


def test_running_jobs_do_not_expire(ledger, claim, by_hand):
    """A running job past its deadline is its worker's business, and its result is taken."""
    job = a_new_job(deadline_seconds=3600)
    ledger.enqueue([job])
    lease = claim(job.id).lease
    by_hand("UPDATE jobs SET deadline_at = :at, ends_at = :at", at=PAST)
    assert [] == ledger.expire(10)
    assert JobState.COMPLETED == ledger.settle([a_settlement(lease)])[0].state


def test_without_offer(ledger, worker, by_hand):
    """A job that no living worker offers waits visibly, and is quarantined only after its time."""
    known, unknown = a_new_job(), a_new_job(version="2")
    ledger.enqueue([known, unknown])
    waiting, ended = ledger.without_offer(quarantine_after_seconds=600, limit=10)
    assert ([unknown.id], []) == ([one.job_id for one in waiting], ended)
    assert "no_worker_offers" == ledger.job(unknown.id).detail
    assert ([], []) == ledger.without_offer(quarantine_after_seconds=600, limit=10)
    by_hand("UPDATE jobs SET no_offer_since = :at WHERE no_offer_since IS NOT NULL", at=PAST)
    # Nobody was alive all that time: the newcomer proves nothing.
    assert ([], []) == ledger.without_offer(quarantine_after_seconds=600, limit=10)
    by_hand("UPDATE workers SET started_at = :at", at=PAST)
    _, ended = ledger.without_offer(quarantine_after_seconds=600, limit=10)
    assert [(unknown.id, "unknown_task")] == [(one.job_id, one.why) for one in ended]
    assert QuarantineReason.UNKNOWN_TASK == ledger.job(unknown.id).reason
    assert JobState.AVAILABLE == ledger.job(known.id).state


def test_offered_again(ledger):
    """The mark goes when a worker comes that offers the task; without any worker nothing is quarantined."""
    job = a_new_job()
    ledger.enqueue([job])
    waiting, ended = ledger.without_offer(quarantine_after_seconds=0, limit=10)
    assert (1, []) == (len(waiting), ended)
    ledger.register_worker(a_worker(), [an_offer()])
    assert ([], []) == ledger.without_offer(quarantine_after_seconds=0, limit=10)
    assert None is ledger.job(job.id).detail


def test_prune(ledger, claim, by_hand):
    """Final jobs past their retention go with all that belongs to them; a note stays."""
    done, aside, waiting = a_new_job(), a_new_job(), a_new_job()
    ledger.enqueue([done, aside, waiting])
    ledger.settle([a_settlement(claim(done.id).lease)])
    by_hand(
        "UPDATE jobs SET state='quarantined', reason='permanent', finished_at=run_at, next_ring_at=NULL"
        " WHERE id=:id",
        id=aside.id,
    )
    assert 0 == ledger.prune(completed_seconds=60, quarantined_seconds=60, limit=10)
    assert 1 == ledger.prune(completed_seconds=0, quarantined_seconds=60, limit=10)
    assert {aside.id, waiting.id} == set(ledger.find([done.id, aside.id, waiting.id]))
    assert ([], [], True) == (ledger.attempts(done.id), ledger.history(done.id), ledger.tombstone(done.id))
    assert 1 == ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    assert [True, False] == [ledger.tombstone(one.id) for one in (aside, waiting)]


def test_prune_is_bounded(ledger):
    """A sweep deletes at most so many jobs."""
    jobs = [a_new_job() for _ in range(5)]
    ledger.enqueue(jobs)
    for job in jobs:
        ledger.cancel(job.id)
    assert [3, 2, 0] == [ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=3) for _ in range(3)]


def test_prune_of_workers_and_notes(ledger, worker, claim, by_hand):
    """Old dead workers go, but not while they hold a job; old keys and notes go."""
    other = a_worker()
    ledger.register_worker(other, [an_offer()])
    job = a_new_job(key="k")
    ledger.enqueue([job])
    claim(job.id)
    ledger.retire_worker(worker.id)
    ledger.retire_worker(other.id)
    by_hand("UPDATE workers SET ended_at = :at", at=PAST)
    ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    assert [worker.id] == [row.id for row in ledger.workers(alive_only=False)]
    ledger.rescue(10)
    ledger.cancel(job.id)
    ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    assert [] == ledger.workers(alive_only=False)
    by_hand("UPDATE job_keys SET held_until = :at", at=PAST)
    by_hand("UPDATE tombstones SET until = :at", at=PAST)
    ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    assert not ledger.tombstone(job.id)
    assert ledger.enqueue([a_new_job(key="k")])[0].created


def test_epoch(ledger, by_hand):
    """The epoch changes for whoever saw the present one, at most once a minute."""
    first = ledger.epoch()
    assert first == ledger.new_epoch("another")
    second = ledger.new_epoch(first)
    assert second != first
    assert [second, second, second] == [ledger.epoch(), ledger.new_epoch(first), ledger.new_epoch(second)]
    by_hand("UPDATE meta SET changed_at = :at WHERE name = 'epoch'", at=PAST)
    assert ledger.new_epoch(second) not in {first, second}


def _pause_seconds(session, config, job_id, *, steps_of=20):
    if session.get_bind().dialect.name == "postgresql":
        ask = (
            f"SELECT extract(epoch FROM next_ring_at - now()) FROM {config.schema}.jobs WHERE id = '{job_id}'"  # noqa: S608  our own id
        )
    else:
        ask = f"SELECT (julianday(next_ring_at) - julianday('now')) * 86400 FROM jobs WHERE id = '{job_id}'"  # noqa: S608  our own id
    seconds = float(session.connection().exec_driver_sql(ask).scalar())
    return math.ceil(round(seconds, 2) / steps_of) * steps_of  # some of it has passed
