"""Parked jobs: who waits for what, who may go, and that nobody goes twice."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from sqlalchemy.exc import IntegrityError, OperationalError

from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.outcome import Crashed, Park, Retry, Snooze
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger import connect
from holdfast.ledger.engine import make_engine
from holdfast.ledger.upgrade import alembic_config, migrate
from holdfast.tests.support.builders import QUEUE, a_failure, a_new_job, a_settlement

PAST = "2020-01-01T00:00:00.000000Z"
SEARCH = "upstream:search"


@pytest.fixture
def park(ledger, claim):
    """Enqueue jobs, claim them and park them, in this order."""

    def park_jobs(count=1, waiting_for=SEARCH, reason="it is open", **fields):
        parked = []
        for _ in range(count):
            job = a_new_job(**fields)
            ledger.enqueue([job])
            held = claim(job.id)
            (settled,) = ledger.settle(
                [a_settlement(held.lease, Park(waiting_for, reason, wake_seq=held.job.wake_seq))]
            )
            assert JobState.PARKED == settled.state
            parked.append(job.id)
        return parked

    return park_jobs


def released(ledger, tickets, *, waiting_for=SEARCH, priority=5, tenant=None):
    """Release, and return who got which ticket."""
    found = ledger.release(waiting_for, priority, tenant, tickets)
    return {one.job_id: one.ticket for one in found}


def test_a_parked_job_says_what_it_waits_for_and_has_its_attempt_back(ledger, park):
    """In a column of its own; the detail has the reason beside it."""
    (job_id,) = park()
    job = ledger.job(job_id)
    assert (JobState.PARKED, SEARCH, f"{SEARCH}: it is open", 0, None) == (
        job.state, job.waiting_for, job.detail, job.attempt, job.ticket,
    )  # fmt: skip
    assert ("park", f"{SEARCH}: it is open") == (ledger.history(job_id)[-1].kind, job.detail)


def test_what_no_column_can_hold_is_cut_and_parks_all_the_same(ledger, claim):
    """A handler names what it waits for in its own words, and those may be anything."""
    for strange in ("x" * 5000, "", "a \x00 and \ud800"):
        job = a_new_job()
        ledger.enqueue([job])
        (settled,) = ledger.settle([a_settlement(claim(job.id).lease, Park(strange))])
        assert JobState.PARKED == settled.state
        assert len(ledger.job(job.id).waiting_for or "") <= 255


def test_groups_are_counted_by_upstream_priority_and_tenant(ledger, park):
    """What waits for an approval or for its children is none of the releaser's business."""
    first = park(2)
    park(priority=0, tenant="a")
    park(tenant="a")
    park(waiting_for="upstream:mail")
    park(waiting_for="approval")
    ledger.enqueue([a_new_job()])
    groups = ledger.parked_groups()
    assert {
        (SEARCH, 5, None, 2), (SEARCH, 0, "a", 1), (SEARCH, 5, "a", 1), ("upstream:mail", 5, None, 1),
    } == {(one.waiting_for, one.priority, one.tenant, one.waiting) for one in groups}  # fmt: skip
    assert ledger.job(first[0]).run_at == next(one.since for one in groups if one.waiting == 2)
    assert len(groups) == 4


def test_who_rescues_a_job_of_the_dead_hears_of_its_ticket(ledger, worker, park, claim, by_hand):
    """Nobody makes the call that it was for; where the attempt only overran, somebody still may."""
    jobs = park(2)
    released(ledger, ["t1", "t2"])
    claim(jobs[0])
    by_hand("UPDATE jobs SET attempt_ends_at = :at WHERE state = 'running'", at=PAST)
    assert [(jobs[0], None)] == [(left.job_id, left.ticket) for left in ledger.rescue(10)]
    claim(jobs[1])
    ledger.declare_dead(worker.id, 0)
    assert [(jobs[1], "t2")] == [(left.job_id, left.ticket) for left in ledger.rescue(10)]


def test_the_oldest_of_a_group_go_first_each_with_its_ticket(ledger, park, claim):
    """The ticket is on the row, is claimed with the job, and is gone when the attempt ends."""
    jobs = park(3)
    others = [*park(priority=4), *park(tenant="a"), *park(waiting_for="upstream:mail")]
    assert dict(zip(jobs, ["t1", "t2"], strict=False)) == released(ledger, ["t1", "t2"])
    job = ledger.job(jobs[0])
    assert (JobState.AVAILABLE, "t1", None, None, 1) == (
        job.state, job.ticket, job.waiting_for, job.detail, job.wake_seq,
    )  # fmt: skip
    assert "release" == ledger.history(jobs[0])[-1].kind
    assert all(ledger.job(one).state is JobState.PARKED for one in (jobs[2], *others))
    held = claim(jobs[0])
    assert "t1" == held.job.ticket
    ledger.settle([a_settlement(held.lease)])
    assert None is ledger.job(jobs[0]).ticket


def test_a_release_says_how_long_the_job_was_parked(ledger, park, by_hand):
    """By the database's clock, since it parked, whatever its age."""
    (job_id,) = park()
    by_hand("UPDATE job_moments SET at = '2020-01-01T00:00:00.000000Z' WHERE kind = 'park'")
    (one,) = ledger.release(SEARCH, 5, None, [None])
    assert one.job_id == job_id
    assert one.waited_seconds > 1_000_000
    assert ("tests.echo", QUEUE) == (one.task, one.queue)


def test_a_released_job_rings_at_once(ledger, park):
    """Like any available one: whatever was rung before it parked is forgotten."""
    (job_id,) = park()
    released(ledger, [None])
    assert [job_id] == [ring.job_id for ring in ledger.due_rings(limit=10, epoch="e")]


@pytest.mark.parametrize("tenant", [None, "a"])
def test_fewer_jobs_than_tickets(ledger, park, tenant):
    """Who holds the tickets is told by what comes back; the rest is left over."""
    jobs = park(2, tenant=tenant)
    assert dict(zip(jobs, ["t1", "t2"], strict=False)) == released(ledger, ["t1", "t2", "t3"], tenant=tenant)
    assert {} == released(ledger, ["t3"], tenant=tenant)
    assert {} == released(ledger, [], tenant=tenant)


def test_no_ticket_is_wasted_on_a_job_that_cannot_run(ledger, park, by_hand):
    """A paused queue, a task that nobody offers, an end that has passed: passed over. None is for all."""
    paused, gone, late, able = park(queue="mail"), park(), park(), park()
    ledger.pause_queue("mail")
    by_hand("UPDATE jobs SET task = 'gone' WHERE id = :id", id=gone[0])
    by_hand("UPDATE jobs SET ends_at = :past WHERE id = :id", past=PAST, id=late[0])
    assert {able[0]: "t1"} == released(ledger, ["t1", "t2"])
    assert {paused[0]: None, gone[0]: None} == released(ledger, [None, None, None])
    assert JobState.PARKED == ledger.job(late[0]).state


@pytest.mark.parametrize("move", ["hand_back", "retry", "snooze", "lost", "park"])
def test_every_end_of_an_attempt_takes_the_ticket_away(ledger, park, claim, move):
    """It was good for that attempt; the next one gets its own, or needs none."""
    (job_id,) = park()
    released(ledger, ["t1"])
    held = claim(job_id)
    outcomes = {
        "retry": Retry(0.0, a_failure()),
        "snooze": Snooze(60.0),
        "lost": Crashed(a_failure(), None),
        "park": Park(SEARCH, wake_seq=held.job.wake_seq),
    }
    if move == "hand_back":
        ledger.hand_back([held.lease], "drain")
    else:
        ledger.settle([a_settlement(held.lease, outcomes[move])])
    assert None is ledger.job(job_id).ticket
    assert (JobState.PARKED is ledger.job(job_id).state) == (ledger.job(job_id).waiting_for is not None)


def test_a_wake_before_the_park_was_written_is_not_lost_by_a_release(ledger, claim, park):
    """A job that was released while it ran, as a wake-up of that time, does not park (B14)."""
    (job_id,) = park()
    first = claim_after_release(ledger, claim, job_id)
    ledger.wake(job_id)
    (settled,) = ledger.settle([a_settlement(first.lease, Park(SEARCH, wake_seq=first.job.wake_seq))])
    assert JobState.AVAILABLE == settled.state
    assert None is ledger.job(job_id).waiting_for


def claim_after_release(ledger, claim, job_id):
    """Let a parked job go and claim it."""
    released(ledger, ["t1"])
    held = claim(job_id)
    assert 1 == held.job.wake_seq
    return held


def test_two_releasers_at_once_release_no_job_twice(config, ledger, park):
    """A leader that froze and woke up beside its successor: each ticket is on one job, each job has one."""
    jobs = park(40)
    other = connect(config)
    start = threading.Barrier(2)

    def release_all(by, name):
        start.wait(10.0)
        mine = []
        for number in range(10):
            mine += by.release(SEARCH, 5, None, [f"{name}{number}a", f"{name}{number}b"])
        return mine

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(release_all, ledger, "x"), pool.submit(release_all, other, "y")]
        found = [one for answer in asked for one in answer.result(60.0)]
    other.close()
    assert max(Counter(one.job_id for one in found).values()) == 1
    assert max(Counter(one.ticket for one in found).values()) == 1
    assert {one.job_id: one.ticket for one in found} == {
        job_id: ledger.job(job_id).ticket for job_id in jobs if ledger.job(job_id).state is JobState.AVAILABLE
    }
    assert [2] * len(jobs) == [
        Counter(moment.kind for moment in ledger.history(job_id))["release"] + 1 for job_id in jobs
    ]


@pytest.mark.parametrize("rival", ["cancel", "expire", "wake"])
def test_a_release_races_with_another_end_of_the_wait(config, ledger, park, by_hand, rival):
    """Both want the same row; one moves it, the other finds nothing, and the history has no gap."""
    jobs = park(20)
    if rival == "expire":
        by_hand("UPDATE jobs SET ends_at = :past WHERE priority = 5", past=PAST)
        # The releaser leaves these to the expirer; half of them are not there yet for both.
        by_hand("UPDATE jobs SET ends_at = '2999-01-01T00:00:00.000000Z' WHERE id < :id", id=sorted(jobs)[10])
    other = connect(config)
    start = threading.Barrier(2)

    def end():
        start.wait(10.0)
        if rival == "expire":
            other.expire(100)
            return
        for job_id in jobs:
            getattr(other, rival)(job_id)

    def release_all():
        start.wait(10.0)
        return [one for _ in jobs for one in ledger.release(SEARCH, 5, None, ["t"])]

    with ThreadPoolExecutor(2) as pool:
        ending, releasing = pool.submit(end), pool.submit(release_all)
        ending.result(60.0)
        found = Counter(one.job_id for one in releasing.result(60.0))
    other.close()
    for job_id in jobs:
        job, kinds = ledger.job(job_id), Counter(moment.kind for moment in ledger.history(job_id))
        assert found[job_id] == kinds["release"] <= 1
        assert job.state is not JobState.PARKED
        assert [*range(1, len(ledger.history(job_id)) + 1)] == [one.seq for one in ledger.history(job_id)]
        if rival == "cancel":
            assert JobState.CANCELLED is job.state
            assert None is job.ticket
        if rival == "wake":
            assert 1 == kinds["release"] + kinds["wake"]


def test_a_release_during_the_park_finds_it_or_leaves_it(config, ledger, claim):
    """A sweep while jobs park one by one: each is released once, or waits for the next sweep."""
    held = []
    for _ in range(20):
        job = a_new_job()
        ledger.enqueue([job])
        held.append(claim(job.id))
    other = connect(config)
    done = threading.Event()

    def release_all():
        found = []
        while not done.is_set():
            found += other.release(SEARCH, 5, None, ["t"] * 5)
        return found + other.release(SEARCH, 5, None, ["t"] * 20)

    with ThreadPoolExecutor(1) as pool:
        releasing = pool.submit(release_all)
        for one in held:
            ledger.settle([a_settlement(one.lease, Park(SEARCH, wake_seq=one.job.wake_seq))])
        done.set()
        found = releasing.result(60.0)
    other.close()
    assert sorted(one.lease.job_id for one in held) == sorted(one.job_id for one in found)


def test_a_release_whose_answer_was_lost_is_not_repeated(ledger, park, monkeypatch):
    """Else the same tickets would go to other jobs, too: the caller hears of it and takes new ones."""
    park(4)
    transactions = ledger._parking._transactions  # noqa: SLF001 -- where a commit can be lost
    tries = []
    really = transactions._once  # noqa: SLF001 -- as above

    def lose_the_answer(engine, work, attempt):
        tries.append(really(engine, work, attempt))
        raise OperationalError("x", {}, Exception("gone"), connection_invalidated=True)

    monkeypatch.setattr(transactions, "_once", lose_the_answer)
    with pytest.raises(LedgerUnavailable):
        ledger.release(SEARCH, 5, None, ["t1"])
    monkeypatch.undo()
    assert 1 == len(tries)
    assert 3 == sum(one.waiting for one in ledger.parked_groups())


def test_jobs_that_were_parked_before_wait_on(config, ledger, park):
    """What they waited for stood in the detail alone; a row made by hand has none, and is migrated, too."""
    with_reason, without = park(reason="no money: none at all"), park(waiting_for="approval", reason="")
    bare = park(waiting_for="", reason="")
    engine = make_engine(config)
    schema = config.schema if config.url.startswith("postgresql") else None
    with engine.connect() as connection, connection.begin():
        mapped = connection.execution_options(schema_translate_map={None: schema}) if schema else connection
        command.downgrade(alembic_config(mapped, schema), "0004")
    engine.dispose()
    migrate(config)
    assert [SEARCH, "approval", ""] == [
        ledger.job(one).waiting_for for one in (*with_reason, *without, *bare)
    ]
    assert {with_reason[0]: "t"} == released(ledger, ["t"])


def test_a_scheduled_job_has_no_place_among_the_parked(ledger, by_hand):
    """The rule is the table's: nobody waits for an upstream in another state."""
    job = a_new_job()
    ledger.enqueue([job])
    with pytest.raises(IntegrityError, match="parked_waits"):
        by_hand("UPDATE jobs SET waiting_for = 'upstream:x' WHERE id = :id", id=job.id)


def test_a_parked_job_waits_no_longer_than_its_deadline_or_its_age(ledger, park, by_hand):
    """It is quarantined, and whoever looks is told which upstream did not come back."""
    late, old = park(deadline_seconds=3600), park()
    by_hand("UPDATE jobs SET ends_at = :past, deadline_at = :past WHERE id = :id", past=PAST, id=late[0])
    by_hand("UPDATE jobs SET ends_at = :past, expires_at = :past WHERE id = :id", past=PAST, id=old[0])
    assert {} == released(ledger, ["t", "t"])
    assert {late[0], old[0]} == {left.job_id for left in ledger.expire(10)}
    for job_id, why in ((late[0], "its deadline passed"), (old[0], "it grew too old")):
        job = ledger.job(job_id)
        assert (JobState.QUARANTINED, QuarantineReason.DEADLINE, None) == (
            job.state, job.reason, job.waiting_for,
        )  # fmt: skip
        assert job.detail.startswith(why)
        assert job.detail.endswith(f"waiting for {SEARCH}")


def test_a_wake_takes_away_what_a_job_waited_for(ledger, park):
    """Whoever wakes it decides; the table would not hold both."""
    (job_id,) = park()
    assert ledger.wake(job_id)
    assert (JobState.AVAILABLE, None) == (ledger.job(job_id).state, ledger.job(job_id).waiting_for)


def test_a_job_that_is_not_parked_is_released_by_no_statement(ledger, park):
    """Whatever was read before: the write itself compares (B3)."""
    (job_id,) = park()
    ledger.cancel(job_id)
    parking = ledger._parking  # noqa: SLF001 -- the write without the look that comes before it
    moved = parking._transactions.write(  # noqa: SLF001 -- as above
        lambda connection: parking._move(connection, [{"id": job_id, "ticket": "t"}]),  # noqa: SLF001 -- as above
        doing="release by hand",
    )
    assert [] == moved
    assert JobState.CANCELLED is ledger.job(job_id).state
