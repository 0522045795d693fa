"""Who starts first where more waits than can run: on a real worker, behind thousands of others."""

from datetime import datetime, timedelta

import pytest

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.state import JobState
from holdfast.tests.support import flow_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.waiting import until

NAP_SECONDS = 0.05
SLOTS = 8


def enqueue(count: int, **options: object) -> list[str]:
    """Enqueue naps in bulk, and return their ids."""
    handles = flow_tasks.nap.options(**options).enqueue_many_sync([(NAP_SECONDS,)] * count)
    return [handle.id for handle in handles]


def first_start(platform: Platform, ids: list[str]) -> datetime:
    """When the first of them was started."""
    return min(attempt.started_at for one in ids for attempt in platform.ledger.attempts(one))


@pytest.mark.parametrize(
    "many",
    [
        pytest.param(1_000, id="1000"),
        pytest.param(10_000, id="10000", marks=(pytest.mark.outage, pytest.mark.slow)),
    ],
)
def test_ten_jobs_behind_many_of_another_tenant(held: Platform, many: int):
    """They start within two seconds, and all of them have run long before the others."""
    held.worker(worker_slots=SLOTS, task_modules=flow_tasks.__name__)
    others = enqueue(many, tenant="a")
    until(
        lambda: held.count(others[:100], JobState.COMPLETED) > 20,
        timeout_seconds=30,
        what="the others to run",
    )
    few = enqueue(10, tenant="b")
    # From here: a producer on SQLite may have waited for its turn to write.
    accepted_at = SystemClock().now()
    held.until_all(few, JobState.COMPLETED)
    waited = first_start(held, few) - accepted_at
    assert held.count(others, JobState.COMPLETED) < many / 2, "there was nothing to wait for"
    assert waited < timedelta(seconds=2), waited


def test_a_tenth_of_the_starts_is_for_those_that_are_less_urgent(held: Platform):
    """However many urgent jobs wait, the others do not starve; nor do they get more than their share."""
    held.worker(worker_slots=SLOTS, task_modules=flow_tasks.__name__)
    urgent = enqueue(2_000, priority=0)
    later = enqueue(100, priority=9)
    until(
        lambda: held.count(later, JobState.COMPLETED) >= 10, timeout_seconds=60, what="the less urgent to run"
    )
    assert 60 <= held.count(urgent, JobState.COMPLETED) < 1_000
