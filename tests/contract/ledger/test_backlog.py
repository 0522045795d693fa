"""Load shedding at enqueue: a full queue takes no new jobs, and nothing that was accepted is refused."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from psycopg.errors import DeadlockDetected
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from holdfast.jobs.backlog import limits_of
from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import LedgerError, QueueFull
from holdfast.jobs.outcome import Park, Retry
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger, LedgerConfig, connect
from holdfast.ledger import backlog as backlog_module
from holdfast.ledger.statements import enqueue
from holdfast.ledger.transaction import Transactions
from holdfast.tests.support.builders import QUEUE, a_failure, a_new_job, a_settlement

BULK = 9
URGENT = 0


@pytest.fixture
def open_ledger(config: LedgerConfig) -> Iterator[object]:
    """Open the ledger as a process with these limits does."""
    opened: list[Ledger] = []

    def open_one(*limits: str) -> Ledger:
        opened.append(connect(replace(config, backlog_limits=limits_of(limits))))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def producer(open_ledger) -> Ledger:
    """A process that may fill the queue with five jobs, of which three may be bulk."""
    return open_ledger(f"{QUEUE}=5/4/3")


@pytest.fixture
def forgetful(monkeypatch):
    """Nothing that was counted is trusted."""
    monkeypatch.setattr(backlog_module, "TRUSTED_SECONDS", 0.0)
    monkeypatch.setattr(backlog_module, "_SHARE", 0)


def conflict_of(ledger: Ledger) -> Exception:
    """What the driver raises when a rival was faster, and one has to begin again."""
    with ledger.session() as session:
        is_postgresql = session.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        return DeadlockDetected("deadlock detected")
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


def fill(ledger: Ledger, count: int, **fields: object) -> list[str]:
    """Enqueue one by one."""
    return [ledger.enqueue([a_new_job(**fields)])[0].job_id for _ in range(count)]


def waiting(ledger: Ledger) -> int:
    """Count what waits in all queues."""
    return sum(count.count for count in ledger.counts())


def test_a_full_queue_says_so(producer):
    """Which, for whom, how many wait, and when to come again; nothing was written."""
    fill(producer, 4)
    with pytest.raises(
        QueueFull, match=f"4 of at most 4 jobs wait in {QUEUE}, so it takes no normal ones"
    ) as told:
        fill(producer, 1)
    error = told.value
    assert (QUEUE, "normal", 4, 0, 1) == (
        error.queue, error.job_class, error.limit, error.free, error.asked,
    )  # fmt: skip
    assert 0.5 < error.retry_after_seconds < 2.0
    assert 4 == waiting(producer)


def test_the_less_important_are_refused_first(producer):
    """A class counts its own and the more important ones: bulk keeps nobody out but bulk."""
    fill(producer, 3, priority=BULK)
    with pytest.raises(QueueFull, match="no bulk ones"):
        fill(producer, 1, priority=BULK)
    fill(producer, 4)
    with pytest.raises(QueueFull, match="no normal ones"):
        fill(producer, 1)
    fill(producer, 5, priority=URGENT)
    with pytest.raises(QueueFull, match="no urgent ones"):
        fill(producer, 1, priority=URGENT)
    assert 12 == waiting(producer)


def test_a_batch_is_taken_whole_or_not_at_all(producer):
    """Whoever asks for many learns how many would fit."""
    fill(producer, 2)
    with pytest.raises(QueueFull, match="2 would fit, 3 were asked for") as told:
        producer.enqueue([a_new_job() for _ in range(3)])
    assert 2 == told.value.free
    producer.enqueue([a_new_job() for _ in range(2)])
    with pytest.raises(QueueFull, match="enqueue at most 4 at a time"):
        producer.enqueue([a_new_job() for _ in range(5)])
    assert 4 == waiting(producer)


def test_other_queues_and_later_jobs_are_not_meant(producer):
    """A limit is one queue's, and who is not due yet does not wait yet."""
    fill(producer, 5, priority=URGENT)
    fill(producer, 1, priority=URGENT, delay_seconds=60.0)
    fill(producer, 6, queue="another")


def test_all_other_queues_may_have_a_limit(open_ledger):
    """Each by itself; one that has its own is held to that alone."""
    producer = open_ledger("*=1", f"{QUEUE}=2")
    fill(producer, 2)
    for queue in ("one", "another"):
        fill(producer, 1, queue=queue)
        with pytest.raises(QueueFull, match=f"wait in {queue}"):
            fill(producer, 1, queue=queue)


def test_a_repeated_request_is_answered(producer):
    """By its key, or by its id: it makes no new job, so nothing about it is refused."""
    job = a_new_job(key="daily", priority=URGENT)
    assert producer.enqueue([job])[0].created
    fill(producer, 4, priority=URGENT)
    for again in (a_new_job(key="daily", priority=URGENT), job):
        (answer,) = producer.enqueue([again])
        assert (job.id, False) == (answer.job_id, answer.created)
    with pytest.raises(QueueFull):
        producer.enqueue([job, a_new_job(priority=URGENT)])


def test_a_repeated_request_takes_no_room(producer):
    """Where nothing is full yet, too: what waits is jobs, and not requests."""
    job = a_new_job(key="daily")
    for again in (job, a_new_job(key="daily"), a_new_job(key="daily"), job, job):
        producer.enqueue([again])
    fill(producer, 3)
    with pytest.raises(QueueFull):
        fill(producer, 1)
    assert 4 == waiting(producer)


def test_what_a_batch_names_twice_is_one_job(producer):
    """By its key, or by its id: five requests for three jobs fit where three may wait."""
    one, other = a_new_job(key="one", priority=BULK), a_new_job(priority=BULK)
    again = a_new_job(key="one", priority=BULK)
    answers = producer.enqueue([one, again, other, other, a_new_job(priority=BULK)])
    assert 3 == len({answer.job_id for answer in answers}) == waiting(producer)
    with pytest.raises(QueueFull):
        fill(producer, 1, priority=BULK)


def test_a_job_that_was_due_already_waits_at_once(producer):
    """A time in the past is no way around the limit."""
    fill(producer, 4, run_at=SystemClock().now() - timedelta(hours=1))
    with pytest.raises(QueueFull):
        fill(producer, 1, run_at=SystemClock().now() - timedelta(hours=1))
    fill(producer, 1, run_at=SystemClock().now() + timedelta(hours=1))
    assert 5 == waiting(producer)


def test_what_could_not_be_written_takes_no_room(producer):
    """The request may come again at once, as soon as the database takes it."""
    fill(producer, 1)
    with producer.session() as session:
        schema = "holdfast_test." if session.get_bind().dialect.name == "postgresql" else ""
        session.execute(text(f"ALTER TABLE {schema}job_moments RENAME TO lost"))
        session.commit()
        for _ in range(3):
            with pytest.raises(LedgerError):
                fill(producer, 1)
        session.execute(text(f"ALTER TABLE {schema}lost RENAME TO job_moments"))
        session.commit()
    fill(producer, 3)
    assert 4 == waiting(producer)


def test_a_transaction_that_is_tried_again_takes_its_room_once(producer, monkeypatch):
    """A deadlock, say, with a rival: the second try is not refused for the first."""
    tries, conflict, run = [], conflict_of(producer), Transactions.run

    def lose_the_first(self, connection, statement, *parameters):
        if statement is enqueue.add_jobs():
            tries.append(1)
            if len(tries) == 1:
                raise OperationalError("INSERT", {}, conflict)
        return run(self, connection, statement, *parameters)

    monkeypatch.setattr(Transactions, "run", lose_the_first)
    producer.enqueue([a_new_job() for _ in range(4)])
    assert (2, 4) == (len(tries), waiting(producer))


def test_a_refused_batch_of_several_classes_adds_up(producer):
    """What was asked for are its own jobs of that class and of the more important ones."""
    jobs = [a_new_job(priority=URGENT), a_new_job(priority=URGENT), a_new_job(priority=BULK)]
    fill(producer, 1, priority=BULK)
    with pytest.raises(QueueFull, match="2 would fit, 3 were asked for") as told:
        producer.enqueue(jobs)
    assert ("bulk", 1, 2, 3) == (told.value.job_class, told.value.waiting, told.value.free, told.value.asked)


def test_nobody_is_asked_back_before_we_look_again(producer):
    """Who came sooner would be refused by the same count."""
    fill(producer, 3, priority=BULK)
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(QueueFull) as told:
            fill(producer, 1, priority=BULK)
        assert told.value.retry_after_seconds >= 1.0 - (time.monotonic() - began) - 0.5
    assert told.value.retry_after_seconds > 0.2


def test_a_transaction_of_the_caller_goes_on_after_a_refusal(producer):
    """Nothing of the refused request stays in it, its key least of all."""
    fill(producer, 3)
    late = a_new_job(key="late")
    with producer.session() as session:
        first = a_new_job()
        producer.enqueue([first], connection=session.connection())
        with pytest.raises(QueueFull):
            producer.enqueue([late], connection=session.connection())
        session.commit()
    assert JobState.AVAILABLE is producer.job(first.id).state
    producer.cancel(first.id)
    assert producer.find([late.id]) == {}


@pytest.mark.usefixtures("forgetful")
def test_there_is_room_again_when_jobs_have_begun(producer, ledger, worker, claim):
    """What runs does not wait; what is parked, or retried at once, does."""
    ids = fill(producer, 4)
    begun = claim(ids[0])
    fill(producer, 1)
    ledger.settle([a_settlement(begun.lease, Park("upstream:search", wake_seq=begun.job.wake_seq))])
    with pytest.raises(QueueFull):
        fill(producer, 1)


def test_an_accepted_job_is_never_refused(producer, ledger, worker, claim):
    """Neither its retry nor the message of a plain producer, which the broker has already."""
    ids = fill(producer, 5, priority=URGENT)
    begun = claim(ids[0])
    fill(ledger, 5, priority=URGENT)
    (settled,) = producer.settle([a_settlement(begun.lease, Retry(0.0, a_failure()))])
    assert not settled.is_lost
    assert "adopted" == producer.adopt(a_new_job(priority=URGENT), "digest")


def test_what_others_write_is_seen_within_a_second(open_ledger):
    """Between two counts a process knows only of its own; then the rows say what is true."""
    one, other = open_ledger(f"{QUEUE}=4"), open_ledger(f"{QUEUE}=4")
    fill(one, 1)
    fill(other, 3)
    ended = threading.Event()
    taken = 0
    for _ in range(300):
        try:
            fill(one, 1)
            taken += 1
        except QueueFull:
            break
        ended.wait(0.01)
    assert taken <= 3
    assert waiting(one) <= 7


def test_producers_of_one_process_do_not_pass_the_limit_together(open_ledger, monkeypatch):
    """Eight threads, one count: what all have added is known to all."""
    monkeypatch.setattr(backlog_module, "TRUSTED_SECONDS", 60.0)
    producer = open_ledger(f"{QUEUE}=50")
    fill(producer, 1)

    def work(_: int) -> int:
        taken = 0
        for _ in range(20):
            try:
                taken += len(fill(producer, 1))
            except QueueFull:
                return taken
        return taken

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert 50 == waiting(producer)


def test_producers_pass_the_limit_by_what_they_add_between_two_counts(open_ledger):
    """Four processes at once: each knows of its own, so all of them together write four limits at most."""
    producers = [open_ledger(f"{QUEUE}=30") for _ in range(4)]

    def work(producer: Ledger) -> tuple[int, float]:
        taken = 0
        while True:
            try:
                taken += len(fill(producer, 1))
            except QueueFull as full:
                return taken, full.retry_after_seconds

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(work, producers))
    assert 30 <= sum(taken for taken, _ in done) == waiting(producers[0]) <= 120
    after = open_ledger(f"{QUEUE}=30")
    with pytest.raises(QueueFull):
        fill(after, 1)


@pytest.mark.usefixtures("forgetful")
def test_whoever_comes_again_in_vain_waits_longer(producer):
    """From one second to half a minute, and not all in the same instant."""
    fill(producer, 5, priority=URGENT)
    waits = []
    for _ in range(8):
        with pytest.raises(QueueFull) as told:
            fill(producer, 1, priority=URGENT)
        waits.append(told.value.retry_after_seconds)
    assert waits[0] < 3.0
    assert 22.0 < waits[-1] < 38.0
