"""The shared store is lost: each process of a fleet takes its share of a limit, however many there are."""

from holdfast.tasks.task import Task
from holdfast.tests.support import limited_tasks
from holdfast.tests.support.builders import a_worker
from holdfast.tests.support.limited_tasks import BY_THE_SECOND, CALLS
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until

APART = 2
"""Isolated processes of a worker."""


JOBS = 50


def test_jobs_reach_the_rate_that_their_upstream_takes(embedded: Platform):
    """Fifty jobs at ten a second take five seconds, not one for each round in which jobs become available."""
    embedded.worker(task_modules=limited_tasks.__name__, worker_slots=20)
    handles = limited_tasks.rated.enqueue_many_sync([()] * JOBS)
    times = sorted(float(handle.result_sync(timeout_seconds=60)) for handle in handles)
    assert (JOBS - 1) / BY_THE_SECOND - 0.2 <= times[-1] - times[0] <= 2 * JOBS / BY_THE_SECOND


def passing(task: Task) -> int:
    """How many calls pass in the process that has the next job."""
    return int(task.enqueue_sync().result_sync(timeout_seconds=30))


def test_a_share_follows_the_workers_that_live(embedded: Platform):
    """A worker by itself has the whole limit, of two each has a half, and who is left has the whole again."""
    with RedisServer() as store:
        embedded.worker(
            task_modules=limited_tasks.__name__,
            worker_isolated_processes=APART,
            shared_state_url=store.url,
            lease_seconds=60.0,
        )
        assert CALLS == passing(limited_tasks.try_out)
    # What the others of a fleet know of a worker is its row.
    second = a_worker()
    embedded.ledger.register_worker(second, [])
    until(lambda: CALLS // 2 == passing(limited_tasks.try_out), what="a half for each of two")
    # As much of the half as is left to each if the worker and all its isolated processes take the same.
    assert CALLS // 2 // (1 + APART) == passing(limited_tasks.try_out_apart)
    embedded.ledger.retire_worker(second.id)
    until(lambda: CALLS == passing(limited_tasks.try_out), what="the whole for who is left")
