"""`Platform`: code under test enqueues as ever, the test sees it, and says when it runs."""

import asyncio
import contextlib
import sqlite3
import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

import holdfast.testing
from holdfast.jobs.errors import JobCancelled, ResultTimeout, SettingsError
from holdfast.tasks.ambient import current_client
from holdfast.testing import FakeClock, Platform
from holdfast.tests.support.kit_tasks import (
    REGISTRY,
    ask,
    book,
    charge,
    greet,
    greet_in_a_thread,
    parent,
    wait,
)


def test_what_was_enqueued_can_be_seen(platform: Platform):
    """Task, arguments, and every option; in order, and before anything runs."""
    greet.delay("Ada")
    later = charge.options(queue="money", delay_seconds=90, key="order-7", priority=1, tenant="acme")
    later.enqueue_sync(7, day=date(2026, 11, 23))
    first, second = platform.enqueued()
    assert ("kit.greet", {"name": "Ada"}, "default", 0.0) == (
        first.task,
        first.arguments,
        first.queue,
        first.delay_seconds,
    )
    assert ["order-7"] == [job.key for job in platform.enqueued(charge)]
    assert second == platform.assert_enqueued(
        charge,
        {"order": 7, "day": date(2026, 11, 23)},
        queue="money",
        delay_seconds=90,
        key="order-7",
        priority=1,
        tenant="acme",
        times=1,
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"name": "Bob"}, {}),
        ({"nobody": "Ada"}, {}),
        ({"name": "Ada"}, {"queue": "mail"}),
        ({"name": "Ada"}, {"delay_seconds": 1.0}),
        ({"name": "Ada"}, {"times": 1}),
    ],
)
def test_what_was_not_enqueued_fails_with_what_was(platform: Platform, arguments, expected):
    """The message shows each job that is there."""
    greet.delay("Ada")
    greet.delay(name="Ada", times=3)
    with pytest.raises(AssertionError, match=r"kit\.greet\(name='Ada', times=3\) on default"):
        platform.assert_enqueued(greet, arguments, **expected)


def test_nothing_enqueued_can_be_asserted(platform: Platform):
    """A job of another task, or with other arguments, does not count."""
    greet.delay("Ada")
    platform.assert_not_enqueued(charge)
    platform.assert_not_enqueued(greet, {"name": "Bob"})
    with pytest.raises(AssertionError, match="should not be"):
        platform.assert_not_enqueued(greet)
    platform.assert_enqueued("kit.greet")


def test_what_was_enqueued_is_shown_as_it_was(platform: Platform, upstream):
    """A delay is the one that was asked for, also when retries came later; duplicates of a key are none."""
    upstream.fails = 1
    charge.options(delay_seconds=10, key="a").enqueue_sync(7)
    charge.options(key="a").enqueue_sync(7)
    assert ["completed", "completed"] == [outcome.state for outcome in platform.drain_sync()]
    assert 10 == platform.assert_enqueued(charge, times=1).delay_seconds
    assert platform.assert_enqueued(greet, queue="mail").enqueued_by == platform.enqueued(charge)[0].id


def test_available_jobs_run_in_order_with_all_that_they_enqueue(platform: Platform, upstream):
    """By priority, then due time; what is due later stays where it is."""
    greet.options(priority=9).enqueue_sync("last")
    greet.options(priority=0).enqueue_sync("first")
    parent.enqueue_sync(["child", "second child"])
    greet.options(delay_seconds=60).enqueue_sync("tomorrow")
    outcomes = platform.run_available_sync()
    assert ["first", "child", "second child", "last"] == sorted(
        upstream.calls, key=["first", "child", "second child", "last", "tomorrow"].index
    )
    assert ("first", 5) == (upstream.calls[0], len(outcomes))
    assert 0 == platform.clock.monotonic()
    assert [] == platform.run_available_sync()


def test_time_is_the_tests(platform: Platform, upstream):
    """A delay is over when the test has moved the clock past it, and not before."""
    handle = greet.options(delay_seconds=3600).enqueue_sync("Ada")
    platform.advance(3599)
    assert [] == platform.run_available_sync()
    platform.advance(1)
    assert ["Ada!"] == [outcome.result() for outcome in platform.run_available_sync()]
    assert "Ada!" == handle.result_sync(timeout_seconds=1)


def test_the_clock_begins_at_the_real_time_or_where_it_is_told():
    """An instant that your code computes means what it says; and an instant of the test's choice."""
    noon = datetime(2026, 12, 24, 12, tzinfo=UTC)
    with Platform(registry=REGISTRY, starts_at=noon) as platform:
        greet.options(run_at=noon + timedelta(hours=6)).enqueue_sync("Santa")
        assert [] == platform.run_available_sync()
        assert 1 == len(platform.drain_sync())
        assert (noon + timedelta(hours=6), noon) == (
            platform.now,
            platform.outcome(platform.enqueued()[0].id).job.created_at,
        )
    assert abs(FakeClock().now() - datetime.now(UTC)) < timedelta(minutes=5)  # noqa: TID251 -- it is compared with the real one
    with pytest.raises(ValueError, match="time goes on"):
        platform.advance(-1)


def test_draining_skips_every_wait(platform: Platform, upstream):
    """Delays, retries and snoozes pass at once; who waits for somebody is left, and can be woken."""
    handle = ask.enqueue_sync(600.0)
    greet.options(delay_seconds=86_400).enqueue_sync("Ada")
    assert ["parked", "completed"] == sorted(
        (outcome.state for outcome in platform.drain_sync()), reverse=True
    )
    assert 86_400 == round(platform.clock.monotonic())
    assert platform.ledger.wake(handle.id)
    assert ["approved"] == [outcome.result() for outcome in platform.drain_sync()]


def test_one_queue_can_be_run_alone(platform: Platform, upstream):
    """The others wait."""
    greet.options(queue="mail").enqueue_sync("mail")
    greet.enqueue_sync("default")
    platform.run_available_sync(queue="mail")
    assert ["mail"] == upstream.calls


def test_a_paused_queue_grants_nothing(platform: Platform, upstream):
    """Also after a long time, and then it goes on."""
    platform.ledger.pause_queue("default")
    greet.enqueue_sync("Ada")
    for _ in range(2):
        assert [] == platform.drain_sync()
        platform.advance(3600)
    platform.ledger.resume_queue("default")
    assert 1 == len(platform.drain_sync())


def test_a_deadline_is_kept(platform: Platform, upstream):
    """A job that could not begin in time is put aside with that reason."""
    handle = greet.options(deadline_seconds=60).enqueue_sync("Ada")
    platform.advance(61)
    assert [] == platform.run_available_sync()
    assert ("quarantined", "deadline") == (platform.outcome(handle).state, platform.outcome(handle).reason)


def test_a_waiting_job_is_cancelled_at_once(platform: Platform, upstream):
    """By its handle, as ever."""
    handle = greet.enqueue_sync("Ada")
    handle.cancel_sync("not wanted")
    assert [] == platform.run_available_sync()
    with pytest.raises(JobCancelled, match="not wanted"):
        platform.outcome(handle).result()


def test_a_running_job_is_cancelled_where_it_waits(platform: Platform, upstream):
    """The test runs the jobs beside itself, cancels, and the handler tidies up."""

    async def test() -> str:
        handle = await wait.enqueue()
        running = asyncio.create_task(platform.run_available())
        await upstream.began.wait()
        with pytest.raises(RuntimeError, match="runs jobs already"):
            await platform.run_available()
        await handle.cancel()
        await running
        return platform.outcome(handle).state

    assert ("cancelled", ["tidied"]) == (asyncio.run(test()), upstream.calls)


def test_time_limits_are_real_seconds(platform: Platform, upstream):
    """A small one is given for the test; what is tried again takes no time."""
    outcome = platform.run_task_sync(wait.options(soft_timeout_seconds=0.01, hard_timeout_seconds=5.0))
    assert "quarantined" == outcome.state
    assert {"retry", "quarantine"} == {attempt.outcome for attempt in outcome.attempts}
    assert "AttemptTimeout" in outcome.failure.type


def test_a_handler_on_a_thread_may_outlive_its_hard_limit(platform: Platform, upstream, monkeypatch):
    """Its attempt is settled as timed out, and a new worker makes the next."""
    may_end = threading.Event()
    monkeypatch.setattr(upstream, "call", lambda name: may_end.wait(30) or name)

    async def test():
        handle = await greet_in_a_thread.options(hard_timeout_seconds=0.05).enqueue("Ada")
        await platform.run_available()
        return platform.outcome(handle)

    outcome = asyncio.run(test())
    may_end.set()
    assert ("scheduled", ["retry"]) == (outcome.state, [attempt.outcome for attempt in outcome.attempts])
    with pytest.raises(ResultTimeout):
        outcome.result()


def test_code_that_waits_for_a_result_is_served(platform: Platform, upstream):
    """Its jobs run while it waits; what it raises is raised."""

    async def place_order() -> str:
        handle = await greet.enqueue("Ada")
        return await handle.result(timeout_seconds=30)

    async def fail() -> None:
        raise LookupError("nothing here")

    assert "Ada!" == asyncio.run(platform.serve(place_order()))
    with pytest.raises(LookupError, match="nothing here"):
        asyncio.run(platform.serve(fail()))


def test_slots_run_jobs_beside_each_other(upstream):
    """As many as there are slots."""
    with Platform(registry=REGISTRY, slots=3) as platform:

        async def test() -> None:
            handles = [await wait.enqueue() for _ in range(3)]
            running = asyncio.create_task(platform.run_available())
            while "running" != (await handles[-1].status()).state:
                await asyncio.sleep(0)
            for handle in handles:
                await handle.cancel()
            await running

        asyncio.run(test())
    assert 3 * ["tidied"] == upstream.calls


def test_the_tests_own_session_is_the_ledgers(platform: Platform, upstream):
    """Enqueue in a transaction: the job commits, or vanishes, with the data."""
    engine = create_engine(platform.database_url)
    with Session(engine) as session:
        session.execute(text("CREATE TABLE bookings (order_id INTEGER)"))
        greet.options(session=session).enqueue_sync("kept")
        session.commit()
        greet.options(session=session).enqueue_sync("rolled back")
        session.rollback()
    engine.dispose()
    platform.assert_enqueued(greet, {"name": "kept"}, times=1)
    platform.assert_not_enqueued(greet, {"name": "rolled back"})
    assert "booked" == platform.run_task_sync(book, 7).result()


def test_a_platform_leaves_nothing_behind(upstream):
    """The client that was connected before is so again, and the next ledger is empty, its tables as ever."""
    with pytest.raises(SettingsError):
        current_client()
    with Platform(registry=REGISTRY) as outer:
        outer.client.enqueue_sync(greet, {"name": "outer"})
        with outer.session() as session:
            session.execute(text("CREATE TABLE mine (id INTEGER)"))
            session.commit()
        with Platform(registry=REGISTRY) as inner:
            greet.delay("inner")
            assert [{"name": "inner"}] == [job.arguments for job in inner.enqueued()]
        greet.delay("outer again")
        assert 2 == len(outer.enqueued())
        address = outer.database_url
    with pytest.raises(SettingsError):
        current_client()
    platforms = [Platform(registry=REGISTRY) for _ in range(2)]
    with contextlib.ExitStack() as stack:
        for platform in platforms:
            stack.enter_context(platform)
        again = next(platform for platform in platforms if platform.database_url == address)
        assert [] == again.enqueued()
        with again.session() as session, pytest.raises(Exception, match="no such table"):
            session.execute(text("SELECT * FROM mine"))


def test_a_file_that_is_still_in_use_is_not_used_again(upstream, monkeypatch):
    """A connection that the test forgot cannot reach into another test."""
    monkeypatch.setattr(holdfast.testing.database, "_WAIT_SECONDS", 0.01)
    with Platform(registry=REGISTRY) as platform:
        address = platform.database_url
        forgotten = sqlite3.connect(address.removeprefix("sqlite:///"), isolation_level=None)
        forgotten.execute("BEGIN IMMEDIATE")
    with Platform(registry=REGISTRY) as other:
        assert address != other.database_url
    forgotten.close()
