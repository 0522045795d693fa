"""Threads without a lease are counted, and a worker that has too many of them goes (B17)."""

import asyncio

import pytest

from holdfast.jobs.events import HandlerAbandoned
from holdfast.tests.support.bench import bench, enqueued
from holdfast.tests.support.builders import an_offer
from holdfast.workers.abandoned import AbandonedThreads
from holdfast.workers.attempt import Interrupt
from holdfast.workers.placement import Threaded

BLOCK = "tests.block"
THREADED = Threaded(frozenset({BLOCK}), 4)


class Watch:
    """A bench whose jobs are as good as threads, with somebody who counts the abandoned ones."""

    def __init__(self, b):
        self.b, self.left = b, []
        self.threads = AbandonedThreads(
            b.gate, THREADED, events=b.events, leave=lambda: self.left.append(True)
        )

    async def run(self, count, task=BLOCK):
        """Let jobs run; returns their attempts."""
        before = len(self.b.started)
        self.b.ring(*enqueued(self.b.ledger, count, task=task), task=task)
        await self.b.until_started(before + count)
        return self.b.started[before:]

    def lose(self, *attempts):
        """Let leases be lost, and look before anybody would count them."""
        for attempt in attempts:
            self.b.gate.lose(attempt, where="test")
        self.threads.look()


@pytest.fixture
def watching(ledger, monkeypatch):
    """Run a scene with a watch over four threads."""
    offers = ledger.register_worker
    monkeypatch.setattr(
        ledger, "register_worker", lambda worker, _: offers(worker, [an_offer(), an_offer(task=BLOCK)])
    )

    def run(scene):
        async def main():
            async with bench(ledger, slots=8, threaded=THREADED) as b:
                await scene(Watch(b))

        asyncio.run(main())

    return run


def test_a_thread_that_runs_on_without_its_lease_is_told_of_once(watching):
    """Not at once: most end within the second. Its worker goes on."""

    async def scene(watch):
        (attempt,) = await watch.run(1)
        watch.lose(attempt)
        assert [] == watch.b.happened(HandlerAbandoned)
        watch.threads.look()
        watch.threads.look()
        (told,) = watch.b.happened(HandlerAbandoned)
        assert (attempt.lease.job_id, "lease_lost") == (told.job_id, told.why)
        assert (True, []) == (watch.b.gate.has_room(), watch.left)

    watching(scene)


def test_a_worker_with_half_of_its_threads_abandoned_claims_nothing_and_leaves_when_it_is_empty(watching):
    """What else runs ends first."""

    async def scene(watch):
        (other,) = await watch.run(1, task="tests.echo")
        lost = await watch.run(2)
        watch.lose(*lost)
        watch.threads.look()
        assert (False, []) == (watch.b.gate.has_room(), watch.left)
        watch.b.gate.running.pop(other.lease.job_id)
        watch.threads.look()
        watch.threads.look()
        assert [True] == watch.left

    watching(scene)


def test_a_worker_whose_abandoned_threads_end_after_all_goes_on(watching):
    """It claims again."""

    async def scene(watch):
        lost = await watch.run(2)
        await watch.run(1)
        watch.lose(*lost)
        watch.threads.look()
        assert not watch.b.gate.has_room()
        watch.b.gate.running.pop(lost[0].lease.job_id)
        watch.threads.look()
        assert (True, []) == (watch.b.gate.has_room(), watch.left)

    watching(scene)


def test_a_coroutine_holds_no_thread(watching):
    """It was cancelled, and is nobody's thread."""

    async def scene(watch):
        attempts = await watch.run(4, task="tests.echo")
        watch.lose(*attempts)
        watch.threads.look()
        assert [] == watch.b.happened(HandlerAbandoned)
        assert watch.b.gate.has_room()

    watching(scene)


def test_only_a_lost_lease_counts(watching):
    """A drain or a cancel asks; the thread still works for its job."""

    async def scene(watch):
        attempts = await watch.run(4)
        for attempt in attempts:
            attempt.interrupt(Interrupt.CANCEL)
        watch.threads.look()
        watch.threads.look()
        assert [] == watch.b.happened(HandlerAbandoned)

    watching(scene)
