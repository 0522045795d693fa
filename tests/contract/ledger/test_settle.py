"""Settle: one ending, fenced by token; a bad row fails alone."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.jobs.claim_check import LARGEST_EVER_BYTES
from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import InvalidJson, LeaseLost
from holdfast.jobs.failure import Failure
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest, Progress
from holdfast.jobs.outcome import Cancel, Completed, Park, Quarantine, Retry, Snooze
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.tests.support.builders import a_failure, a_lease, a_new_job, a_settlement

NEXT = [Retry(60, a_failure()), Snooze(60), Park("upstream:x")]


@pytest.fixture
def lease(ledger, claim):
    """The lease of a running job."""
    job = a_new_job()
    ledger.enqueue([job])
    return claim(job.id).lease


def settle(ledger, lease, outcome=None):
    """Settle one lease and return the answer."""
    return ledger.settle([a_settlement(lease, outcome)])[0]


def test_completed(ledger, lease, worker):
    """A completed job holds its result, and nothing of the lease is left."""
    assert JobState.COMPLETED == settle(ledger, lease, Completed('{"a":1}')).state
    job = ledger.job(lease.job_id)
    assert ('{"a":1}', None, None, None) == (job.result, job.worker_id, job.attempt_ends_at, job.failure)
    assert job.finished_at >= job.started_at
    assert [] == ledger.held(worker.id)
    assert ["completed"] == [attempt.outcome for attempt in ledger.attempts(job.id)]
    assert ["enqueue", "claim", "complete"] == [moment.kind for moment in ledger.history(job.id)]
    assert ["complete"] == [moment.kind for moment in ledger.history(job.id, after=2)]


def test_retry(ledger, lease):
    """A retry is scheduled, keeps its failure, and spends the attempt."""
    answer = settle(ledger, lease, Retry(60, a_failure("first")))
    job = ledger.job(lease.job_id)
    assert (JobState.SCHEDULED, job.run_at) == (answer.state, answer.run_at)
    assert 58 < (job.run_at - SystemClock().now()).total_seconds() < 61
    assert (1, a_failure("first")) == (job.attempt, job.failure)
    assert ("retry", a_failure("first")) == (
        ledger.attempts(job.id)[0].outcome,
        ledger.attempts(job.id)[0].failure,
    )


@pytest.mark.parametrize("outcome", [Snooze(60, reason="later"), Park("upstream:x", reason="open")])
def test_given_back(ledger, lease, outcome):
    """Snooze and park give the attempt back, and say what the job waits for."""
    settle(ledger, lease, outcome)
    job = ledger.job(lease.job_id)
    assert (0, 1) == (job.attempt, job.claims)
    assert job.detail in {"later", "upstream:x: open"}


def test_snooze_until(ledger, lease):
    """A snooze until an instant is due then."""
    until = datetime.now(UTC) + timedelta(hours=1)  # noqa: TID251  a test may ask for the time
    assert abs(until - settle(ledger, lease, Snooze(until=until)).run_at) < timedelta(milliseconds=1)


def test_cancel_and_quarantine(ledger, claim):
    """A handler's own cancel and quarantine are final and say why."""
    jobs = [a_new_job(), a_new_job()]
    ledger.enqueue(jobs)
    settle(ledger, claim(jobs[0].id).lease, Cancel("not needed"))
    settle(ledger, claim(jobs[1].id).lease, Quarantine(QuarantineReason.PERMANENT, a_failure("no way")))
    cancelled, quarantined = (ledger.job(job.id) for job in jobs)
    assert (JobState.CANCELLED, "not needed", None) == (cancelled.state, cancelled.detail, cancelled.reason)
    assert (JobState.QUARANTINED, QuarantineReason.PERMANENT) == (quarantined.state, quarantined.reason)
    assert a_failure("no way") == quarantined.failure


def test_stale_token(ledger, lease, claim):
    """A late worker cannot overwrite what its successor did; its outcome is kept on its own attempt."""
    ledger.hand_back([lease], "drain")
    successor = claim(lease.job_id).lease
    assert settle(ledger, lease, Completed('"late"')).is_lost
    assert JobState.COMPLETED == settle(ledger, successor, Completed('"right"')).state
    assert settle(ledger, lease, Completed('"late"')).is_lost
    job = ledger.job(lease.job_id)
    assert '"right"' == job.result
    old, new = ledger.attempts(job.id)
    assert '{"outcome": "completed", "result": "\\"late\\""}' == old.late
    assert (None, "handed_back", "completed") == (new.late, old.outcome, new.outcome)


def test_forgotten_claim(ledger, lease):
    """An outcome whose claim a failover forgot is kept as late, on an attempt made for it."""
    forgotten = replace(lease, token=new_lease_token())
    assert settle(ledger, forgotten).is_lost
    assert [None, '{"outcome": "completed", "result": "\\"done\\""}'] == [
        attempt.late for attempt in sorted(ledger.attempts(lease.job_id), key=lambda one: one.late or "")
    ]
    assert settle(ledger, a_lease()).is_lost


def test_late_is_bounded(ledger, lease):
    """A huge late outcome is kept in part."""
    ledger.hand_back([lease], "drain")
    settle(ledger, lease, Completed('"' + "x" * 900_000 + '"'))
    assert 1_000 < len(ledger.attempts(lease.job_id)[0].late) <= 16_000


@pytest.mark.parametrize(
    "outcome", [Completed('"a"'), *NEXT, Cancel("x"), Quarantine(QuarantineReason.POISON)]
)
def test_repeated(ledger, lease, outcome):
    """The same settlement again, after a lost reply, gets the first answer and changes nothing."""
    first = settle(ledger, lease, outcome)
    job = ledger.job(lease.job_id)
    assert first == settle(ledger, lease, outcome)
    assert job == ledger.job(lease.job_id)
    assert None is ledger.attempts(lease.job_id)[0].late
    assert [first, first] == ledger.settle([a_settlement(lease, outcome)] * 2)


def test_another_outcome_is_no_repetition(ledger, lease):
    """A second, different outcome under the same token is late."""
    settle(ledger, lease, Completed('"a"'))
    assert settle(ledger, lease, Completed('"b"')).is_lost
    assert '"a"' == ledger.job(lease.job_id).result


@pytest.mark.parametrize("outcome", NEXT)
def test_pending_cancel_beats_what_goes_on(ledger, lease, outcome):
    """A cancel that was asked for ends the job at the next outcome that is not final."""
    assert "requested" == ledger.cancel(lease.job_id, "stop it")
    assert [True] == [held.cancel_requested for held in ledger.held(lease.worker_id)]
    assert JobState.CANCELLED == settle(ledger, lease, outcome).state
    assert "stop it" == ledger.job(lease.job_id).detail
    assert "cancel" == ledger.attempts(lease.job_id)[0].outcome


@pytest.mark.parametrize("outcome", [Completed('"a"'), Quarantine(QuarantineReason.PERMANENT)])
def test_final_beats_pending_cancel(ledger, lease, outcome):
    """Completed and quarantined stand, though a cancel was asked for."""
    ledger.cancel(lease.job_id)
    assert settle(ledger, lease, outcome).state in {JobState.COMPLETED, JobState.QUARANTINED}


@pytest.mark.parametrize("outcome", [Retry(100, a_failure()), Snooze(100)])
def test_would_miss_the_deadline(ledger, claim, outcome):
    """A wait that would end after the deadline is quarantined now, and says by how much."""
    job = a_new_job(deadline_seconds=60)
    ledger.enqueue([job])
    assert JobState.QUARANTINED == settle(ledger, claim(job.id).lease, outcome).state
    found = ledger.job(job.id)
    # By 40 s, and by what a busy machine needs between the enqueue and the settle.
    said = {f"would miss the deadline by {seconds} s" for seconds in range(40, 50)}
    assert QuarantineReason.DEADLINE == found.reason
    assert found.detail in said


def test_would_be_parked_beyond_the_deadline(ledger, claim):
    """What cannot go on before the deadline is not parked; what may, and what does not know, is."""
    for earliest, state in [(100.0, JobState.QUARANTINED), (5.0, JobState.PARKED), (0.0, JobState.PARKED)]:
        job = a_new_job(deadline_seconds=60)
        ledger.enqueue([job])
        held = claim(job.id)
        park = Park("upstream:search", "it is open", held.job.wake_seq, earliest_seconds=earliest)
        assert state == settle(ledger, held.lease, park).state
        if state is JobState.QUARANTINED:
            found = ledger.job(job.id)
            assert QuarantineReason.DEADLINE == found.reason
            assert found.detail.startswith("would miss the deadline by 4")
            assert found.detail.endswith(" s, waiting for upstream:search")


def test_who_was_woken_meanwhile_misses_nothing(ledger, claim):
    """The wake-up is newer than what was known when it decided to park (B14)."""
    job = a_new_job(deadline_seconds=60)
    ledger.enqueue([job])
    held = claim(job.id)
    ledger.wake(job.id)
    park = Park("upstream:search", "it is open", held.job.wake_seq, earliest_seconds=100.0)
    assert JobState.AVAILABLE == settle(ledger, held.lease, park).state


def test_total_age(ledger, lease):
    """No job snoozes beyond its total age, and it is not told of a deadline that it never had."""
    assert JobState.QUARANTINED == settle(ledger, lease, Snooze(8 * 24 * 3600)).state
    assert ledger.job(lease.job_id).detail.startswith("would outlive its total age by ")


@pytest.mark.parametrize("outcome", NEXT)
def test_claims_are_bounded(ledger, lease, by_hand, outcome):
    """What gives its attempts back cannot go on for ever."""
    by_hand("UPDATE jobs SET claims = 1000 WHERE id = :id", id=lease.job_id)
    assert JobState.QUARANTINED == settle(ledger, lease, outcome).state
    assert QuarantineReason.ATTEMPTS_EXHAUSTED == ledger.job(lease.job_id).reason


def test_wake_before_park(ledger, claim):
    """A wake-up between the decision to park and the park is not lost."""
    job = a_new_job()
    ledger.enqueue([job])
    granted = claim(job.id)
    assert not ledger.wake(job.id)
    parked = settle(ledger, granted.lease, Park("event:x", wake_seq=granted.job.wake_seq))
    assert JobState.AVAILABLE == parked.state
    again = claim(job.id)
    assert JobState.PARKED == settle(ledger, again.lease, Park("event:x", wake_seq=again.job.wake_seq)).state
    assert ledger.wake(job.id)
    assert not ledger.wake(job.id)
    assert JobState.AVAILABLE == ledger.job(job.id).state


def test_park_and_wake_race(ledger, claim):
    """Whichever of park and wake comes first, the job is available in the end."""
    for _ in range(10):
        job = a_new_job()
        ledger.enqueue([job])
        granted = claim(job.id)
        with ThreadPoolExecutor(2) as pool:
            park = pool.submit(settle, ledger, granted.lease, Park("x", wake_seq=granted.job.wake_seq))
            wake = pool.submit(ledger.wake, job.id)
            park.result()
            wake.result()
        assert JobState.AVAILABLE == ledger.job(job.id).state


def test_cancel_and_settle_race(ledger, claim):
    """Of a cancel and an outcome that goes on, in either order, the cancel wins; a result wins over it."""
    for index in range(10):
        outcome = Completed('"a"') if index % 2 else Snooze(60)
        job = a_new_job()
        ledger.enqueue([job])
        lease = claim(job.id).lease
        with ThreadPoolExecutor(2) as pool:
            one, two = pool.submit(settle, ledger, lease, outcome), pool.submit(ledger.cancel, job.id)
            one.result()
            two.result()
        assert (JobState.COMPLETED if index % 2 else JobState.CANCELLED) == ledger.job(job.id).state


@pytest.mark.parametrize(
    "outcome",
    [
        Completed("x" * (LARGEST_EVER_BYTES + 1)),
        Completed('"\x00"'),
        Completed('"\ud800"'),
        Snooze(until=datetime(2026, 1, 1)),  # noqa: DTZ001  the point of the test
    ],
    ids=["too large", "NUL", "lone surrogate", "no time zone"],
)
def test_bad_row_fails_alone(ledger, claim, outcome):
    """An outcome that the database cannot hold is quarantined; the others of its batch are written."""
    jobs = [a_new_job() for _ in range(5)]
    ledger.enqueue(jobs)
    leases = [claim(job.id).lease for job in jobs]
    settlements = [a_settlement(lease, outcome if index == 2 else None) for index, lease in enumerate(leases)]
    states = [JobState.COMPLETED] * 2 + [JobState.QUARANTINED] + [JobState.COMPLETED] * 2
    assert states == [one.state for one in ledger.settle(settlements)]
    job = ledger.job(jobs[2].id)
    assert QuarantineReason.INVALID_RESULT == job.reason
    assert job.failure.message
    assert states == [one.state for one in ledger.settle(settlements)]


class Speechless(Exception):
    """An exception without a text, and that cannot be copied."""

    def __str__(self):
        raise RuntimeError("nothing to say")

    def __deepcopy__(self, memo):
        raise TypeError("one of a kind")


@pytest.mark.parametrize(
    "odd",
    [
        Retry(1.0, Failure("Retry", ValueError("x"))),
        Retry(Decimal(1), a_failure()),
        Snooze(delay_seconds=Decimal(1)),
        Snooze(delay_seconds="soon"),
        Snooze(1.0, reason=Speechless()),
        Cancel(Speechless()),
        Cancel(ValueError("x")),
    ],
)
def test_an_odd_outcome_fails_alone(ledger, claim, odd):
    """What a handler smuggled into its outcome costs no other job of the batch its paid result (B13)."""
    good, bad = a_new_job(), a_new_job()
    ledger.enqueue([good, bad])
    leases = [claim(job.id).lease for job in (good, bad)]
    answers = ledger.settle([a_settlement(leases[0], Completed('"paid"')), a_settlement(leases[1], odd)])
    assert JobState.COMPLETED == answers[0].state
    assert '"paid"' == ledger.job(good.id).result
    assert JobState.RUNNING != ledger.job(bad.id).state
    assert settle(ledger, leases[1], odd) == answers[1], "and a repetition gets the same answer"


def test_an_odd_outcome_that_is_late_is_kept_as_late(ledger, lease, claim):
    """A lost lease is an answer, whatever the outcome holds."""
    settle(ledger, lease, Snooze(0))
    assert settle(ledger, replace(lease, token=new_lease_token()), Cancel(Speechless())).is_lost


def test_hand_backs_are_bounded(ledger, lease, by_hand):
    """What is handed back again and again is put aside at last (B25)."""
    by_hand("UPDATE jobs SET claims = 1000 WHERE id = :id", id=lease.job_id)
    (answer,) = ledger.hand_back([lease], "not ended here yet")
    assert (JobState.QUARANTINED, QuarantineReason.ATTEMPTS_EXHAUSTED) == (
        answer.state,
        ledger.job(lease.job_id).reason,
    )


def test_ugly_failures_are_stored(ledger, lease):
    """A failure with NUL, surrogates and megabytes is stored within its bounds."""
    ugly = Failure(type="x" * 999, message="\x00\ud800" * 9999, traceback="y" * 99_999)
    assert JobState.SCHEDULED == settle(ledger, lease, Retry(1, ugly)).state
    stored = ledger.job(lease.job_id).failure
    assert (255, 2_000, 16_000) == (len(stored.type), len(stored.message), len(stored.traceback))


def test_huge_batch(ledger, worker):
    """A batch larger than one statement's share is written in parts, in the caller's order."""
    jobs = [a_new_job() for _ in range(1200)]
    ledger.enqueue(jobs)
    wishes = [ClaimRequest(new_lease_token(), job.id) for job in jobs]
    claims = ledger.claim(worker.id, wishes, queues=[], default_attempt_seconds=60, hard_limits={})
    answers = ledger.settle([a_settlement(one.lease) for one in reversed(claims)])
    assert [one.lease for one in reversed(claims)] == [one.lease for one in answers]
    assert {JobState.COMPLETED} == {one.state for one in answers}


def test_hand_back(ledger, lease, worker):
    """A job that is handed back is available again, with its attempt; handing it back twice is the same."""
    first = ledger.hand_back([lease], "drain")
    assert [JobState.AVAILABLE] == [one.state for one in first]
    assert first == ledger.hand_back([lease], "drain")
    job = ledger.job(lease.job_id)
    assert (0, 1, "drain") == (job.attempt, job.claims, job.detail)
    assert "handed_back" == ledger.attempts(job.id)[0].outcome
    assert [job.id] == [ring.job_id for ring in ledger.due_rings(limit=10, epoch="e")]
    assert [True] == [one.is_lost for one in ledger.hand_back([a_lease()], "drain")]


def test_hand_back_of_a_cancelled_job(ledger, lease):
    """A job that is handed back after a cancel was asked for is cancelled."""
    ledger.cancel(lease.job_id)
    assert JobState.CANCELLED == ledger.hand_back([lease], "drain")[0].state


def test_prolong(ledger, lease, claim):
    """The end of an attempt moves away while its lease is ours, never nearer, and for nobody else."""
    other = a_new_job()
    ledger.enqueue([other])
    foreign = replace(claim(other.id).lease, token=new_lease_token())
    before = {one: ledger.job(one).attempt_ends_at for one in (lease.job_id, other.id)}
    ledger.prolong([lease, foreign], 1.0)
    assert before == {one: ledger.job(one).attempt_ends_at for one in before}
    ledger.prolong([lease, foreign], 3600.0)
    assert ledger.job(lease.job_id).attempt_ends_at - before[lease.job_id] > timedelta(minutes=50)
    assert before[other.id] == ledger.job(other.id).attempt_ends_at


def test_progress(ledger, lease):
    """Progress is shown while the lease holds, refused when it is lost, and must be JSON."""
    assert ledger.progress(lease, Progress(3, 10, "pages"))
    assert Progress(3, 10, "pages") == ledger.job(lease.job_id).progress
    assert not ledger.progress(a_lease(), Progress(1))
    with pytest.raises(InvalidJson):
        ledger.progress(lease, Progress(float("nan")))


def test_in_the_callers_transaction(ledger, claim):
    """A settlement in the caller's transaction commits or vanishes with it."""
    jobs = [a_new_job(), a_new_job()]
    ledger.enqueue(jobs)
    kept, dropped = (claim(job.id).lease for job in jobs)
    with ledger.session() as session:
        ledger.check_lease_in(session.connection(), kept)
        assert JobState.COMPLETED == ledger.settle_in(session.connection(), a_settlement(kept)).state
        session.commit()
        ledger.settle_in(session.connection(), a_settlement(dropped))
        session.rollback()
        assert JobState.COMPLETED == ledger.settle_in(session.connection(), a_settlement(kept)).state
        assert ledger.settle_in(session.connection(), a_settlement(a_lease())).is_lost
        with pytest.raises(LeaseLost):
            ledger.check_lease_in(session.connection(), kept)
    assert [False, True] == ledger.owns([kept, dropped])
