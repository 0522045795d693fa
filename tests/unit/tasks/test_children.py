"""Handlers with children: begun again from the beginning, and nothing of it is done twice."""

from datetime import timedelta

import pytest

from holdfast.jobs.errors import ChildFailed, InvalidArguments, InvalidOption, JobQuarantined
from holdfast.jobs.state import JobState
from holdfast.testing import Platform, every_crash_sync, run_task_sync
from holdfast.tests.support import child_tasks
from holdfast.tests.support.child_tasks import (
    double,
    doubles,
    doubles_on_a_thread,
    fickle,
    lets_go,
    mixed,
    plus,
    starts,
    total,
    twice,
    with_options,
)


@pytest.fixture(autouse=True)
def nobody_has_begun():
    """No handler has begun yet."""
    starts.clear()


def test_a_map_returns_the_results_in_the_order_of_the_calls():
    """The parent is parked meanwhile, and has spent no attempt."""
    outcome = run_task_sync(doubles, [3, 1, 2])
    assert ([6, 2, 4], 1) == (outcome.result(), outcome.attempts[-1].number)
    assert ["park", "completed"] == [attempt.outcome for attempt in outcome.attempts]
    assert {"double 1": 1, "double 2": 1, "double 3": 1, "doubles": 2} == starts


def test_a_gather_returns_results_of_different_kinds():
    """Each as its own task returns it."""
    assert [6, "HO"] == list(run_task_sync(mixed, 3, "ho").result())


def test_a_handler_on_a_thread_has_children_too():
    """Spawned ones and mapped ones."""
    assert [2, 4, 6] == run_task_sync(doubles_on_a_thread, [1, 2, 3]).result()


def test_children_have_children():
    """A tree of them, with one slot for all."""
    with Platform(slots=1) as platform:
        assert 28 == platform.run_task_sync(total, [1, 2, 3, 4, 5, 6, 7]).result()


def test_nothing_to_wait_for_is_no_wait():
    """An empty map is empty, at once; the first of nobody is a mistake."""
    outcome = run_task_sync(doubles, [])
    assert ([], ["completed"]) == (outcome.result(), [attempt.outcome for attempt in outcome.attempts])
    with pytest.raises(JobQuarantined, match="no first result"):
        run_task_sync(doubles, [], on_failure="any").result()


def test_waits_one_after_the_other():
    """The second is planned from the results of the first."""
    assert [4, 8] == run_task_sync(twice, [1, 2]).result()
    assert 1 == starts["double 4"]


def test_the_first_failure_ends_a_wait_for_all():
    """The parent fails with it, once, and leaves nothing open."""
    with Platform(slots=1) as platform:
        outcome = platform.run_task_sync(doubles, [13, 1])
        with pytest.raises(JobQuarantined, match=r"family.double is quarantined.*thirteen"):
            outcome.result()
        assert isinstance(outcome.error, ChildFailed)
        assert 2 == starts["doubles"], "a child's failure is not tried again by its parent"
        children = [job for job in platform.ledger.list_jobs() if job.parent_id]
        assert all(job.state.is_final for job in children)


def test_the_first_result_ends_a_wait_for_any():
    """The others are cancelled."""
    assert 2 == run_task_sync(doubles, [13, 14, 1], on_failure="any").result()
    with pytest.raises(JobQuarantined, match="none of 2 completed"):
        run_task_sync(doubles, [13, 14], on_failure="any").result()


def test_who_collects_hears_of_all():
    """Results and failures, in order."""
    found = run_task_sync(doubles, [1, 13, 14], on_failure="collect").result()
    assert ["completed", "quarantined", "cancelled"] == [one["state"] for one in found]
    assert [2, None, None] == [one["result"] for one in found]
    assert "thirteen" in found[1]["failure"]["message"]


def test_another_plan_is_refused():
    """A handler that plans by chance would have a new child with each attempt; it is told at the second."""
    outcome = run_task_sync(fickle)
    with pytest.raises(JobQuarantined, match="was planned with others"):
        outcome.result()
    assert 2 == starts["fickle"]


def test_a_child_has_from_its_parent_what_it_does_not_say_itself():
    """Tenant, priority, deadline; never a later deadline."""
    with Platform() as platform:
        at = platform.now + timedelta(hours=1)
        lets_go.options(tenant="acme", priority=7, deadline_at=at).enqueue_sync(1)
        platform.drain_sync()
        (child,) = [job for job in platform.ledger.list_jobs() if job.parent_id]
        assert ("acme", 2, "elsewhere", JobState.COMPLETED) == (
            child.tenant, child.priority, child.queue, child.state,
        )  # fmt: skip
        assert child.deadline_at == at


def test_a_child_has_no_key_of_its_own(monkeypatch):
    """Its id comes from its place, so that it is found again."""
    monkeypatch.setattr(child_tasks, "chosen", {"key": "k"})
    outcome = run_task_sync(with_options)
    assert isinstance(outcome.error, InvalidOption)
    assert "key is not for children" in str(outcome.error)


@pytest.mark.parametrize(
    ("task", "arguments", "result"), [(doubles, ([1, 2],), [2, 4]), (mixed, (1, "a"), [2, "A"])]
)
def test_it_survives_each_crash(task, arguments, result):
    """Wherever a worker dies: one result, and a child that completed is never begun again."""
    for outcome in every_crash_sync(task, *arguments):
        assert result == list(outcome.result()), outcome.crashed_at
        # Only the child whose worker died, if one did, has begun once more.
        begun = [count for name, count in starts.items() if name.startswith("double ")]
        assert sum(begun) <= len(begun) + len(outcome.crashed_at), outcome.crashed_at
        starts.clear()


def test_a_child_is_a_job_like_any_other():
    """Its handler can be called and enqueued alone."""
    assert 8 == run_task_sync(double, 4).result()


def test_a_chain_hands_each_result_to_the_next():
    """Three jobs and the one that waits for them; its handle has the last result."""
    with Platform() as platform:
        handle = double.options(tenant="acme").then(plus, other=2).then(double).enqueue_sync(5)
        platform.drain_sync()
        assert 24 == handle.result_sync()
        rows = platform.ledger.list_jobs()
        assert {"acme"} == {row.tenant for row in rows}
        assert ["family.double", "family.double", "family.plus", "holdfast.chain"] == sorted(
            row.task for row in rows
        )


def test_a_broken_link_ends_the_chain():
    """With the link's own failure, and nothing after it is begun."""
    with Platform() as platform:
        handle = double.then(plus).enqueue_sync(13)
        platform.drain_sync()
        with pytest.raises(JobQuarantined, match="thirteen"):
            handle.result_sync()
        assert "family.plus" not in {row.task for row in platform.ledger.list_jobs()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"number": 1}, "no room"), ({"other": "many"}, "other"), ({"nobody": 1}, "nobody")],
)
def test_a_link_is_checked_when_the_chain_is_made(arguments, said):
    """Its arguments by their types, but for the first, which is not known yet."""
    with pytest.raises(InvalidArguments, match=said):
        double.then(plus, **arguments)


def test_the_first_arguments_of_a_chain_are_checked_when_it_is_enqueued():
    """As with any task: nothing is written."""
    with Platform() as platform:
        with pytest.raises(InvalidArguments):
            double.then(plus).enqueue_sync("five")
        assert [] == platform.ledger.list_jobs()
