"""Enqueue, and ask about jobs, on both databases."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.jobs.errors import (
    ClientClosed,
    InvalidArguments,
    InvalidOption,
    JobCancelled,
    JobNotFound,
    JobQuarantined,
    PayloadTooLarge,
    QueueFull,
    ResultTimeout,
    SettingsError,
    UnknownTask,
    UnsupportedOption,
)
from holdfast.jobs.events import JobEnqueued, JobsRefused
from holdfast.jobs.failure import Failure
from holdfast.jobs.outcome import Quarantine
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.tasks import Client, Options, Registry, current_client, use
from holdfast.tasks.bound import BoundTask

BROKEN = Quarantine(QuarantineReason.ATTEMPTS_EXHAUSTED, Failure("httpx.ReadTimeout", "no answer"))


def test_enqueue_writes_the_job_and_rings(client, greet, bell, emitted, ledger):
    """When enqueue has returned, the job is in the ledger, and the broker has been told."""
    handle = asyncio.run(greet.enqueue("Ada", times=2))

    job = ledger.job(handle.id)
    assert (JobState.AVAILABLE, "tests.greet", "1") == (job.state, job.task, job.version)
    assert '{"name":"Ada","times":2}' == job.arguments
    assert handle.created
    assert [handle.id] == bell.rung
    assert [JobEnqueued(handle.id, "tests.greet", "default")] == emitted


@pytest.mark.parametrize("way", ["enqueue", "delay", "apply_async", "many", "session", "by name"])
@pytest.mark.usefixtures("hand")
def test_a_full_queue_refuses_every_way_to_enqueue(client_with_limit, greet, emitted, ledger, way):
    """Celery's names and the caller's transaction, too; nothing is written, and one event tells of it."""
    greet.enqueue_sync("Ada")
    emitted.clear()
    with ledger.session() as session:
        ways = {
            "enqueue": lambda: asyncio.run(greet.enqueue("Eve")),
            "delay": lambda: greet.delay("Eve"),
            "apply_async": lambda: greet.apply_async(args=("Eve",)),
            "many": lambda: client_with_limit.enqueue_many_sync(greet, [("Eve",), ("Bob",)]),
            "session": lambda: greet.options(session=session).enqueue_sync("Eve"),
            "by name": lambda: client_with_limit.enqueue_sync("tests.greet", {"name": "Eve"}),
        }
        with pytest.raises(QueueFull) as told:
            ways[way]()
        session.commit()
    full = told.value
    assert (1, 1) == (full.waiting, full.limit)
    refused = JobsRefused("tests.greet", "default", "normal", full.asked, 1, full.retry_after_seconds)
    assert [refused] == emitted
    assert 1 == sum(count.count for count in ledger.counts())


@pytest.mark.parametrize("way", ["enqueue_sync", "delay", "apply_async", "client", "client by name"])
def test_every_way_to_enqueue_does_the_same(client, greet, bell, ledger, way):
    """Celery's names, the synchronous twin and the client end in the same row."""
    ways = {
        "enqueue_sync": lambda: greet.enqueue_sync("Ada"),
        "delay": lambda: greet.delay("Ada"),
        "apply_async": lambda: greet.apply_async(args=("Ada",)),
        "client": lambda: client.enqueue_sync(greet, ("Ada",)),
        "client by name": lambda: client.enqueue_sync("tests.greet", {"name": "Ada"}),
    }

    handle = ways[way]()

    assert '{"name":"Ada"}' == ledger.job(handle.id).arguments
    assert [handle.id] == bell.rung


def test_bad_arguments_write_nothing(client, greet, bell, ledger):
    """The caller gets the error, and nobody else sees the job."""
    with pytest.raises(InvalidArguments, match="times"):
        asyncio.run(greet.enqueue("Ada", times="often"))

    assert [] == ledger.list_jobs()
    assert [] == bell.rung


@pytest.mark.parametrize("name", ["tests.greet", None])
def test_arguments_over_the_limit_are_refused(  # noqa: PLR0917 -- pytest passes by name
    client, greet, hand, stranger, ledger, name
):
    """Large data belongs elsewhere; the job carries a reference."""
    asked = stranger if name else client
    with pytest.raises(PayloadTooLarge, match=r"tests\.greet have 1048587 bytes, at most 1048576"):
        asked.enqueue_sync(name or greet, {"name": "x" * (1024 * 1024)})
    assert [] == ledger.list_jobs()


def test_options_reach_the_row(client, greet, ledger, bell):
    """What `options` says is what the ledger holds."""
    run_at = datetime(2100, 1, 1, tzinfo=UTC)
    handle = greet.options(
        run_at=run_at,
        deadline_at=run_at + timedelta(hours=1),
        priority=1,
        queue="slow",
        tenant="north",
        tags=["import-7", "red", "red"],
        soft_timeout_seconds=5,
        hard_timeout_seconds=10,
        key="once",
    ).enqueue_sync("Ada")

    job = ledger.job(handle.id)
    assert (JobState.SCHEDULED, run_at, "slow", 1) == (job.state, job.run_at, job.queue, job.priority)
    assert ("north", 5, 10) == (job.tenant, job.soft_timeout_seconds, job.hard_timeout_seconds)
    assert ("import-7", "red") == job.tags
    assert run_at + timedelta(hours=1) == job.deadline_at
    assert [] == bell.rung, "a job for later is rung by the stager"


@pytest.mark.parametrize(
    "tags", ["import-7", ["a,b"], [""], [7], ["x" * 65], [f"t{number}" for number in range(17)]]
)
def test_tags_are_checked_before_anything_is_written(client, greet, ledger, tags):
    """The error says what a tag is."""
    with pytest.raises(InvalidOption, match="tag"):
        greet.options(tags=tags)
    assert [] == ledger.list_jobs()


def test_celery_options_reach_the_row(client, greet, ledger):
    """`apply_async` keeps its meaning where it has one."""
    handle = greet.apply_async(
        kwargs={"name": "Ada"}, countdown=3600, expires=7200, task_id="daily-1", queue="slow", retry=True
    )

    job = ledger.job("daily-1")
    assert "daily-1" == handle.id
    assert (JobState.SCHEDULED, "slow") == (job.state, job.queue)
    assert timedelta(seconds=3590) < job.run_at - job.created_at < timedelta(seconds=3610)
    assert job.deadline_at is not None


def test_an_unsupported_celery_option_writes_nothing(client, greet, ledger):
    """The caller reads what to do instead."""
    with pytest.raises(UnsupportedOption, match="then"):
        greet.apply_async(("Ada",), link=object())
    assert [] == ledger.list_jobs()


def test_a_key_gets_the_first_job_again(client, greet, bell):
    """A repeated request is one job, and rings once."""
    first = greet.options(key="order-7").enqueue_sync("Ada")
    again = greet.options(key="order-7").enqueue_sync("Eve")

    assert first.id == again.id
    assert (True, False) == (first.created, again.created)
    assert [first.id] == bell.rung


def test_many_jobs_are_written_together(client, greet, bell, ledger):
    """Handles come in the order of the calls."""
    handles = asyncio.run(greet.enqueue_many([("Ada",), {"name": "Eve", "times": 3}, ["Bob", 2]]))

    expected = ['{"name":"Ada"}', '{"name":"Eve","times":3}', '{"name":"Bob","times":2}']
    assert expected == [ledger.job(handle.id).arguments for handle in handles]
    assert [handle.id for handle in handles] == bell.rung


def test_one_bad_call_among_many_writes_none(client, greet, ledger):
    """All or none."""
    with pytest.raises(InvalidArguments):
        greet.enqueue_many_sync([("Ada",), {"nobody": 1}])
    assert [] == ledger.list_jobs()


def test_a_text_is_no_call(client, greet):
    """Its letters would be taken for arguments."""
    with pytest.raises(InvalidArguments, match="tuple"):
        client.enqueue_sync(greet, "Ada")


def test_an_id_for_many_jobs_is_refused(client, greet):
    """It could name only one of them."""
    several = BoundTask(greet.spec, Options(job_id="mine"), client)
    with pytest.raises(InvalidOption):
        several.enqueue_many_sync([("Ada",)])


def test_an_id_that_is_taken_gives_the_first_job(client, greet, ledger):
    """Celery's `task_id` may be used twice; the second call changes nothing."""
    greet.apply_async(("Ada",), task_id="mine")
    again = greet.apply_async(("Eve",), task_id="mine")

    assert not again.created
    assert '{"name":"Ada"}' == ledger.job("mine").arguments


def test_a_result_is_awaited_and_typed(client, greet, hand):
    """The caller waits without holding a connection, and gets the handler's value."""

    async def scenario() -> str:
        handle = await greet.enqueue("Ada")
        waiting = asyncio.ensure_future(handle.result(timeout_seconds=10))
        await asyncio.to_thread(hand.run, handle.id)
        return await waiting

    assert "done" == asyncio.run(scenario())


def test_a_result_is_awaited_in_synchronous_code(client, greet, hand):
    """The twin does the same on a thread."""
    handle = greet.enqueue_sync("Ada")
    worker = threading.Thread(target=hand.run, args=(handle.id,))
    worker.start()
    assert "done" == handle.get(timeout=10)
    worker.join()
    assert "done" == client.result_sync(handle.id)


def test_a_result_that_does_not_come_times_out_on_time(client, greet):
    """The job goes on; the caller is told its state."""
    handle = greet.enqueue_sync("Ada")

    began = time.monotonic()
    with pytest.raises(ResultTimeout, match="available"):
        handle.result_sync(timeout_seconds=0.3)
    assert 0.3 <= time.monotonic() - began < 5
    with pytest.raises(ResultTimeout):
        asyncio.run(handle.result(timeout_seconds=0))


def test_a_quarantined_job_says_what_failed(client, greet, hand):
    """The caller sees reason, type and message."""
    handle = greet.enqueue_sync("Ada")
    hand.run(handle.id, BROKEN)

    with pytest.raises(JobQuarantined, match=r"attempts_exhausted, httpx\.ReadTimeout: no answer") as caught:
        handle.result_sync(1)
    assert handle.id == caught.value.job_id


def test_a_cancelled_job_says_why(client, greet):
    """Cancelling a waiting job ends it at once."""
    handle = greet.enqueue_sync("Ada")

    assert "cancelled" == handle.cancel_sync("not needed")
    assert "already_final" == asyncio.run(handle.cancel())
    with pytest.raises(JobCancelled, match="not needed"):
        handle.result_sync(1)
    assert JobState.CANCELLED == handle.status_sync().state
    assert JobState.CANCELLED == asyncio.run(handle.status()).state


def test_an_unknown_job_is_not_found(client):
    """A wrong id is an error at once, not a wait."""
    with pytest.raises(JobNotFound):
        client.result_sync("nobody", 5)


def test_events_follow_a_job_to_its_end(client, greet, hand):
    """Each change of state is seen once, in order, and the stream ends with the job."""

    async def scenario() -> list[JobState]:
        handle = await greet.enqueue("Ada")
        seen = []
        async for moment in handle.events():
            seen.append(moment.state)
            if moment.state is JobState.AVAILABLE:
                await asyncio.to_thread(hand.run, handle.id)
        assert [] == [moment async for moment in handle.events(after=len(seen))]
        return seen

    assert [JobState.AVAILABLE, JobState.RUNNING, JobState.COMPLETED] == asyncio.run(scenario())


def test_ringing_by_hand_reaches_available_jobs_only(client, greet, bell):
    """After a commit on a bare Connection the caller may ring."""
    due = greet.enqueue_sync("Ada")
    later = greet.options(delay_seconds=60).enqueue_sync("Eve")
    bell.rung.clear()

    client.ring_sync([due.id, later.id, "nobody"])
    asyncio.run(client.ring([due.id]))

    assert [due.id, due.id] == bell.rung


@pytest.fixture
def stranger(ledger, bell):
    """A client in a process that imported no task."""
    client = Client(ledger, bell, registry=Registry())
    yield client
    client.close()


def test_a_task_known_only_by_name_is_checked_with_the_workers_schema(stranger, hand, ledger):
    """A gateway without the code refuses what is plainly wrong, and gets plain JSON back."""
    handle = asyncio.run(stranger.enqueue("tests.greet", {"name": "Ada"}))
    hand.run(handle.id)
    assert "done" == handle.result_sync(5)

    for wrong in ({}, {"name": "Ada", "other": 1}, {"name": 5}, {"name": "Ada", "times": "x"}, ("Ada",)):
        with pytest.raises(InvalidArguments, match=r"tests\.greet"):
            stranger.enqueue_sync("tests.greet", wrong)
    assert 1 == len(ledger.list_jobs())


def test_a_task_that_nobody_knows_is_refused(stranger):
    """A typing error in a name is found at once."""
    with pytest.raises(UnknownTask, match=r"tests\.none"):
        asyncio.run(stranger.enqueue("tests.none", {}, Options(priority=1)))


def test_without_a_client_the_error_says_how_to_connect(greet):
    """The first thing that a new user forgets."""
    with pytest.raises(SettingsError, match=r"holdfast\.connect"):
        greet.enqueue_sync("Ada")


def test_the_innermost_client_is_used_also_in_other_threads(client, stranger):
    """A thread without a client of its own sees the one installed last."""
    seen: list[Client] = []
    with use(stranger):
        assert stranger is current_client()
        thread = threading.Thread(target=lambda: seen.append(current_client()))
        thread.start()
        thread.join()
    assert [stranger] == seen
    assert client is current_client()


def test_a_closed_client_says_so(client, greet):
    """However it is asked, and a handle of it, too: a clear error, and nothing is written."""
    handle = greet.enqueue_sync("Ada")
    client.close()
    for use_it in (
        lambda: client.enqueue_sync(greet, ("Ada",)),
        lambda: asyncio.run(client.enqueue(greet, ("Ada",))),
        handle.status_sync,
        lambda: asyncio.run(handle.result(timeout_seconds=1)),
    ):
        with pytest.raises(ClientClosed, match="connect"):
            use_it()
