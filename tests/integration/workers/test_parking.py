"""Parking, with real workers: who is refused waits without a slot, and goes on with its ticket."""

from collections import Counter

import pytest

from holdfast.jobs.job import DEFAULT_PRIORITY
from holdfast.jobs.state import JobState
from holdfast.resilience.breaker.store import RedisStore, store_client
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.control import Control
from holdfast.tests.support import sample_tasks, upstream_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.upstream import Stretch, serving
from holdfast.tests.support.waiting import until

PUSHED_BACK_SECONDS = 2.0
"""What the upstream asks for."""
TOLD_SECONDS = 0.5
"""Calls that were under way when the first one was pushed back are made; the news takes milliseconds."""


def test_a_refused_job_waits_and_goes_on_with_its_ticket(held: Platform):
    """On the loop, on a thread and in a process of its own: the ticket reaches the call, no attempt is spent.

    An operator has isolated them, so the worker's own releaser lets nobody go.
    """
    worker = held.worker(worker_isolated_processes=1)
    control = Control(RedisStore(store_client(held.broker_url), namespace=held.namespace), actor="a test")
    for name in ("loop", "thread", "apart"):
        control.isolate(name, reason="a test")
    handles = {
        "loop": sample_tasks.call.enqueue_sync("loop"),
        "thread": sample_tasks.call_on_thread.enqueue_sync("thread"),
        "apart": sample_tasks.call_apart.enqueue_sync("apart"),
    }

    def kinds(job_id: str) -> Counter[str]:
        return Counter(moment.kind for moment in held.ledger.history(job_id))

    def all_are_parked() -> bool:
        return all(kinds(one.id)["park"] == 1 for one in handles.values())

    until(all_are_parked, what="jobs that were refused")
    assert 3 == held.count([one.id for one in handles.values()], JobState.PARKED)
    assert {f"upstream:{name}" for name in handles} == {
        one.waiting_for for one in held.ledger.parked_groups()
    }
    for name, handle in handles.items():
        (released,) = held.ledger.release(
            f"upstream:{name}", DEFAULT_PRIORITY, None, [str(Ticket(name, 3, probe="token"))]
        )
        assert handle.id == released.job_id
    for name, handle in handles.items():
        assert f"3|token|{name}" == handle.result_sync(timeout_seconds=20)
        job = held.ledger.job(handle.id)
        assert (1, None, None) == (job.attempt, job.ticket, job.waiting_for)
        assert ["park", "completed"] == [one.outcome for one in held.ledger.attempts(handle.id)]
        assert 1 == kinds(handle.id)["release"]
    assert 3 == worker.log.count("job_parked")


@pytest.mark.slow
def test_a_push_back_costs_no_attempt(embedded: Platform):
    """The upstream asks for two seconds: no worker calls before, and all complete at their first attempt."""
    for _ in range(2):
        embedded.worker(worker_slots=3, task_modules=upstream_tasks.__name__, sweep_seconds=0.5)
    with serving([Stretch("429", 1.0), Stretch("well", 0.0)], limit=100) as upstream:
        upstream.begin()
        handles = upstream_tasks.ask.enqueue_many_sync([(upstream.port,)] * 6)
        ids = [handle.id for handle in handles]
        embedded.until_all(ids, JobState.COMPLETED, timeout_seconds=40)
        assert {1} == {job.attempt for job in embedded.jobs(ids)}
        told = upstream.calls[0][0]
        early = [at for at, _ in upstream.calls if told + TOLD_SECONDS < at < told + PUSHED_BACK_SECONDS]
        assert [] == early
        assert {200, 429} == {status for _, status in upstream.calls}
