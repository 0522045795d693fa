"""Cancel, requeue, wake, and what people read."""

import pytest

from holdfast.jobs.errors import IllegalTransition, JobNotFound
from holdfast.jobs.ids import new_job_id
from holdfast.jobs.outcome import Park, Quarantine
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger import steering
from holdfast.tests.support.builders import a_failure, a_new_job, a_settlement

PAST = "2020-01-01T00:00:00.000000Z"


def test_cancel(ledger, claim):
    """A waiting job is cancelled at once, a running one is asked, a final one stays."""
    waiting, scheduled, running = a_new_job(), a_new_job(delay_seconds=60), a_new_job()
    ledger.enqueue([waiting, scheduled, running])
    lease = claim(running.id).lease
    assert ["cancelled", "cancelled", "requested", "requested"] == [
        ledger.cancel(waiting.id, "why"),
        ledger.cancel(scheduled.id),
        ledger.cancel(running.id, "first"),
        ledger.cancel(running.id, "second"),
    ]
    assert ("why", "cancel") == (ledger.job(waiting.id).detail, ledger.history(waiting.id)[-1].kind)
    assert "already_final" == ledger.cancel(waiting.id)
    ledger.hand_back([lease], "drain")
    assert "first" == ledger.job(running.id).detail


def test_cancel_of_a_parked_job(ledger, claim):
    """A parked job is cancelled at once."""
    job = a_new_job()
    ledger.enqueue([job])
    ledger.settle([a_settlement(claim(job.id).lease, Park("event:x"))])
    assert "cancelled" == ledger.cancel(job.id, "\x00 strange \ud800")
    assert JobState.CANCELLED == ledger.job(job.id).state


def test_requeue(ledger, claim):
    """A requeue opens the next generation, with a new budget and a new end; the old attempts stay visible."""
    job = a_new_job(deadline_seconds=3600)
    ledger.enqueue([job])
    ledger.settle([a_settlement(claim(job.id).lease, Quarantine(QuarantineReason.PERMANENT, a_failure()))])
    requeued = ledger.requeue(job.id)
    assert (JobState.AVAILABLE, 2, 0, 0, None, None, None) == (
        requeued.state,
        requeued.generation,
        requeued.attempt,
        requeued.claims,
        requeued.reason,
        requeued.finished_at,
        requeued.deadline_at,
    )
    assert 2 == claim(job.id).lease.fence.counter
    assert [1, 2] == [attempt.generation for attempt in ledger.attempts(job.id)]
    with pytest.raises(IllegalTransition, match="running"):
        ledger.requeue(job.id)


@pytest.mark.parametrize("verb", ["job", "cancel", "requeue", "wake"])
def test_unknown_job(ledger, verb):
    """A job that is not there is JobNotFound, with its id."""
    job_id = new_job_id()
    with pytest.raises(JobNotFound, match=job_id):
        getattr(ledger, verb)(job_id)


def test_unknown_job_has_no_past(ledger):
    """Lists about a job that is not there are empty."""
    assert ([], [], {}, False) == (
        ledger.attempts(new_job_id()),
        ledger.history(new_job_id()),
        ledger.find([new_job_id()]),
        ledger.tombstone(new_job_id()),
    )


def test_pause(ledger):
    """A queue is paused and resumed once."""
    assert [True, False, True, False] == [
        ledger.pause_queue("q"),
        ledger.pause_queue("q"),
        ledger.resume_queue("q"),
        ledger.resume_queue("q"),
    ]


def test_a_pause_keeps_its_first_reason(ledger):
    """What no database can hold is replaced, what is too long is cut, and one line says it all."""
    for reason in ("the upstream\nis \x00 down", "another"):
        ledger.pause_queue("mail", reason)
    ledger.pause_queue("slow", "x" * 5000)
    ledger.pause_queue("other")
    mail, other, slow = ledger.paused_queues()
    assert f"paused since {mail.paused_at:%Y-%m-%d %H:%M:%S}: the upstream is \ufffd down" == mail.remark
    assert other.remark.endswith(f"{other.paused_at:%S}")
    assert 2000 == len(slow.reason)


def test_rings_of_a_paused_queue_are_put_off_and_not_sent(ledger, by_hand):
    """However often they come due they are held; the queue beside it rings, and the pause has a beginning."""
    paused, other = a_new_job(queue="mail"), a_new_job()
    ledger.enqueue([paused, other])
    ledger.pause_queue("mail")
    (pause,) = ledger.paused_queues()
    assert ("mail", True) == (pause.queue, pause.paused_at >= ledger.job(paused.id).created_at)
    by_hand("UPDATE jobs SET next_ring_at = :at", at=PAST)
    rings = ledger.due_rings(limit=10, epoch="e")
    assert {(paused.id, True), (other.id, False)} == {(ring.job_id, ring.is_held) for ring in rings}
    assert [] == ledger.due_rings(limit=10, epoch="e"), "nothing spins"


def test_resume_rings_for_what_waits(ledger, by_hand, monkeypatch):
    """Page by page all available jobs of the queue, and of no other, are due at once, as if never rung."""
    monkeypatch.setattr(steering, "MOST_ROWS", 2)
    jobs = [a_new_job(queue="mail", priority=priority) for priority in (5, 0, 5, 9, 5)]
    later, other = a_new_job(queue="mail", delay_seconds=60), a_new_job()
    ledger.enqueue([*jobs, later, other])
    ledger.pause_queue("mail")
    by_hand("UPDATE jobs SET next_ring_at = :at WHERE state = 'available'", at=PAST)
    assert 6 == len(ledger.due_rings(limit=10, epoch="e"))
    assert ledger.resume_queue("mail")
    rings = ledger.due_rings(limit=10, epoch="e")
    assert {job.id for job in jobs} == {ring.job_id for ring in rings if not ring.is_held}
    assert 5 == len(rings)
    assert not ledger.resume_queue("mail"), "resumed again, it only rings again"
    assert 5 == len(ledger.due_rings(limit=10, epoch="e"))


def test_list(ledger):
    """Jobs are listed newest first, by state and task, at most so many."""
    jobs = [a_new_job(task=task) for task in ("a", "b", "a", "a")]
    for job in jobs:
        ledger.enqueue([job])
    ledger.cancel(jobs[3].id)
    assert [job.id for job in reversed(jobs)] == [job.id for job in ledger.list_jobs()]
    listed = ledger.list_jobs(states=[JobState.AVAILABLE, JobState.PARKED], tasks=["a"], limit=1)
    assert [jobs[2].id] == [job.id for job in listed]
    assert [] == ledger.list_jobs(tasks=["c"])


def test_counts(ledger, by_hand):
    """Jobs are counted by queue and state, with the age of the oldest."""
    ledger.enqueue([a_new_job(), a_new_job(queue="b"), a_new_job(queue="b"), a_new_job(delay_seconds=60)])
    assert [
        ("b", JobState.AVAILABLE, 2),
        ("default", JobState.AVAILABLE, 1),
        ("default", JobState.SCHEDULED, 1),
    ] == [(count.queue, count.state, count.count) for count in ledger.counts()]
    by_hand("UPDATE jobs SET run_at = '2020-01-01T00:00:00.000000Z' WHERE queue = 'b'")
    assert ledger.counts()[0].oldest_seconds > 1_000_000


def test_ping(ledger):
    """A ping reads and writes, and says how long that took."""
    ping = ledger.ping()
    assert ping.read_ms > 0
    assert ping.write_ms > 0


def test_celery_results(ledger):
    """What a plain Celery task came to is kept, the last write stays, and it is pruned with the completed."""
    assert None is ledger.foreign.read("t")
    ledger.foreign.store("t", "STARTED", None, None)
    ledger.foreign.store("t", "FAILURE", '{"a":"\x00"}', "Traceback")
    found = ledger.foreign.read("t")
    assert ("t", "FAILURE", '{"a":"\ufffd"}', "Traceback") == (
        found.task_id,
        found.state,
        found.result_json,
        found.traceback,
    )
    ledger.prune(completed_seconds=60, quarantined_seconds=0, limit=10)
    assert None is not ledger.foreign.read("t")
    ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    assert None is ledger.foreign.read("t")
