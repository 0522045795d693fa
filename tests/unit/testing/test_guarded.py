"""A guarded task in the test kit: its clock stands still, and the guard's does not mind."""

from collections.abc import Iterator

import pytest

from holdfast.resilience.fleet import FLEET, Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.limits.bulkhead import Bulkhead
from holdfast.resilience.limits.bulkhead_layer import BulkheadLayer
from holdfast.tasks import Registry, TaskContext, task
from holdfast.testing import Platform, run_task_sync

REGISTRY = Registry()
GUARD = Guard("kit", fleet=Fleet(), timeout_seconds=5.0)


@task(name="tests.guarded", registry=REGISTRY)
async def guarded(text: str) -> str:
    """Call an upstream through a guard."""

    async def call() -> str:
        return text

    return await GUARD.acall(call)


def test_a_guarded_task_runs_in_the_kit():
    """At its first attempt, though the kit's clock is not the machine's."""
    with Platform(registry=REGISTRY) as platform:
        outcome = platform.run_task_sync(guarded, "hello")
    assert ("hello", ["completed"]) == (outcome.result(), [one.outcome for one in outcome.attempts])


PLACES = Bulkhead(1)
NAMED = Guard("kit-named", retry=None, limits=[BulkheadLayer(PLACES)])


@pytest.fixture
def _process() -> Iterator[None]:
    """The process's own upstreams, which end with the test."""
    yield
    FLEET.stop()


@task(name="tests.by_name", registry=REGISTRY)
async def by_name(ctx: TaskContext, upstream: str) -> int:
    """Call an upstream through the guard that its name gives; tell how many places its call took."""

    async def call() -> int:
        return PLACES.in_use

    return await ctx.guard(upstream).acall(call)


@task(name="tests.by_name_sync", registry=REGISTRY)
def by_name_sync(ctx: TaskContext, upstream: str) -> int:
    """Do the same in a `def` handler."""
    return ctx.guard(upstream).call(lambda: PLACES.in_use)


@pytest.mark.parametrize("handler", [by_name, by_name_sync], ids=["async", "def"])
@pytest.mark.parametrize(("upstream", "places"), [("kit-named", 1), ("kit-undeclared", 0)])
@pytest.mark.usefixtures("_process")
def test_a_handler_in_the_kit_calls_through_the_guard_of_a_name(handler, upstream, places):
    """Through the declared one and its limits; through one with the defaults, where none was declared."""
    outcome = run_task_sync(handler, upstream)
    assert (places, 1) == (outcome.result(), len(outcome.attempts))


@pytest.mark.usefixtures("_process")
def test_a_name_that_cannot_be_one_is_not_tried_again():
    """It is a mistake in the program: the job stands in the quarantine at once, and says why."""
    outcome = run_task_sync(by_name, "")
    assert ["quarantine"] == [one.outcome for one in outcome.attempts]
    assert "InvalidOption" in str(outcome.attempts[0])
